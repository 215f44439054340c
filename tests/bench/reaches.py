"""What the listener is to reach, and whether it did: told, never a reason to fail, as a machine may be slow."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

from machine import Sample
from tables import having, total

RECORD_US = 7
SHADOW_US = 50
LAG_MEDIAN_US, LAG_P99_US = 2000, 5000
SAVED_MB_PER_S = 400
SAVED_NEAR = 0.8  # of tcpdump -r
BESIDE_MB = 64  # beside the ring and what the budget holds
FLAT_MB = 8  # that a round may have more than the first


@dataclass
class Reach:
    what: str
    wanted: str
    measured: str
    reached: bool


def of(results: Dict[str, Any]) -> List[Reach]:
    found = full_rate(having(results["full_rate"], watcher="mirror-record"))
    found += fixed_rate(having(results["fixed_rate"], watcher="mirror-shadow"))
    for sample in having(results["lag"], watcher="mirror-shadow"):
        found += lag(sample)
    found += saved(results["saved"])
    for sample in results["memory"]:
        found += memory(sample)
    return found


def full_rate(samples: List[Sample]) -> List[Reach]:
    found = []
    for where, own in by(samples, "workload", "placement"):
        found += nothing_lost(f"requests and responses to a recording, full rate, {where}", own)
        found.append(most(f"CPU a recorded exchange, {where}", values(own, "cpu_us_delivered"), RECORD_US, "µs"))
    return found


def fixed_rate(samples: List[Sample]) -> List[Reach]:
    found = []
    for where, own in by(samples, "workload", "placement"):
        found += nothing_lost(f"to a target at {own[0]['asked_rps']:.0f}/s, {where}", own)
        found.append(most(f"CPU a delivered request, {where}", values(own, "cpu_us_delivered"), SHADOW_US, "µs"))
    return found


def nothing_lost(what: str, samples: List[Sample]) -> List[Reach]:
    lost, dropped, gaps = (total(samples, name) for name in ("lost", "kernel_dropped", "bytes_lost"))
    measured = f"{lost} of {total(samples, 'completed')}, {dropped} drops, {gaps} bytes missing"
    return [Reach(what, "0 lost, 0 kernel drops", measured, lost == dropped == gaps == 0)]


def lag(sample: Sample) -> List[Reach]:
    lost = sample["sent"] - sample["arrived"]
    return [
        most("lag, median", [sample["median_us"]], LAG_MEDIAN_US, "µs"),
        most("lag, p99", [sample["p99_us"]], LAG_P99_US, "µs"),
        Reach("copies at low rate", "0 lost", f"{lost} of {sample['sent']}", lost == 0),
    ]


def saved(samples: List[Sample]) -> List[Reach]:
    found = []
    for workload, own in by(samples, "workload"):
        rates = {
            reader: statistics.median(values(having(own, reader=reader), "mb_per_s"))
            for reader in dict.fromkeys(sample["reader"] for sample in own)
        }
        limit = rates.pop("tcpdump -r")
        for reader, rate in rates.items():
            wanted = f"≥ {SAVED_MB_PER_S} MB/s, or {SAVED_NEAR} of tcpdump -r"
            measured = f"{rate:.0f} MB/s, {rate / limit:.2f} of it"
            reached = rate >= SAVED_MB_PER_S or rate >= SAVED_NEAR * limit
            found.append(Reach(f"a saved capture, {workload}, {reader}", wanted, measured, reached))
        lost = sum(sample["lost"] or 0 for sample in own)
        exchanges = sum(sample["exchanges"] for sample in own if sample["lost"] is not None)
        found.append(Reach(f"a saved capture, {workload}, recorded", "0 lost", f"{lost} of {exchanges}", lost == 0))
    return found


def memory(sample: Sample) -> List[Reach]:
    """The ring is in VmHWM, as a process maps it. The bound is what the budget did hold, not what it may."""
    where = f"{sample['watcher']}, {sample['workload']}"
    first, last = sample["rounds"][0], sample["rounds"][-1]
    held = sample["budget_peak_mb"]
    return [
        most(
            f"peak of memory beside the ring, {BESIDE_MB} MB + {held:.0f} MB held, {where}",
            [sample["peak_rss_mb"] - sample["ring_mb"]],
            BESIDE_MB + held,
            "MB",
        ),
        most(
            f"its growth (RssAnon) from round 1 to {len(sample['rounds'])}, {where}",
            [last["RssAnon"] - first["RssAnon"]],
            FLAT_MB,
            "MB",
        ),
    ]


def most(what: str, measured: Sequence[Optional[float]], limit: float, unit: str) -> Reach:
    known = [value for value in measured if value is not None]
    if not known:  # nothing has come that could be measured
        return Reach(what, f"≤ {limit:.0f} {unit}", "–", False)
    median = statistics.median(known)
    digits = 1 if median < 100 else 0
    return Reach(what, f"≤ {limit:.0f} {unit}", f"{median:.{digits}f} {unit}", median <= limit)


def values(samples: List[Sample], name: str) -> List[float]:
    return [sample[name] for sample in samples if sample[name] is not None]


def by(samples: List[Sample], *names: str) -> List[tuple]:
    """Each combination of these names' values that occurs, in words, with its samples."""
    found: Dict[tuple, List[Sample]] = {}
    for sample in samples:
        found.setdefault(tuple(sample[name] for name in names), []).append(sample)
    return [(", ".join(values), own) for values, own in found.items()]
