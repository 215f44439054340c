"""From samples to a report in Markdown."""

from __future__ import annotations

import statistics
from typing import Any, Dict, List, Optional

from peers import PEERS
from machine import Sample
from tables import groups, having, median, number, percent, present_workloads, ratio, table, total

TITLES = {peer.key: peer.title for peer in PEERS}
PAIRS = [  # whose numbers are divided by whose
    ("mirror-shadow", "nginx-mirror"),
    ("mirror-shadow", "envoy-mirror"),
    ("mirror-shadow", "mirror-plain"),
    ("mirror-stages", "mirror-shadow"),
    ("nginx-mirror", "nginx-plain"),
    ("envoy-mirror", "envoy-plain"),
    ("mirror-plain", "nginx-plain"),
    ("mirror-plain", "envoy-plain"),
]
COMPARED = [
    ("rps", "rps"),
    ("p50", "p50_us"),
    ("p99", "p99_us"),
    ("CPU a request", "cpu_per_100k"),
    ("peak RSS", "peak_rss_mb"),
]
ABOUT_FLAT_OUT = (
    "CPU: user and system time of the peer's processes, until the last copy is out. Where CPU 1 is far from 100 %, "
    "something else was the limit. Delivered: whole requests at the target ÷ at the upstream; wrk breaks off its last "
    "requests, and nginx then gives up their copies."
)
ABOUT_STEADY = (
    "Open loop, random arrivals, latency from the moment a request was due. The target runs in CPU 0's idle time. Ratios "
    "are to the same proxy without mirroring, in the same round (lowest–highest round). Window p99: the median over 100 ms "
    "windows of the p99 within a window; it bears every cost that is always there, but not the host's rare thefts of a CPU."
)
FAULTS = ["non-2xx", "socket errors"]
STEADY_TIMES = ("p50_us", "p99_us", "window_p99_us")


def markdown(results: Dict[str, Any]) -> str:
    options, facts = results["options"], results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    sections = [
        "# mirror beside nginx and Envoy",
        f"    {results['command']}",
        f"{facts['cores']} cores ({facts['cpu']}), Linux {facts['kernel']}, "
        f"load average {facts['load_before']} before the start. {versions}.\n"
        "The peer has CPU 1, with one worker thread; load generator, upstream and target share CPU 0. "
        f"The target answers {'204, nothing' if options['empty_answers'] else 'as the upstream does'}. "
        f"Medians of {options['repeats']} interleaved rounds of {options['seconds']} s, "
        f"{options['connections']} connections.",
    ]
    sections.append(disturbances(results["flat_out"] + results["steady"]))
    if results["flat_out"]:
        sections += ["## Flat out (wrk)", absolute_table(results["flat_out"])]
        sections += [ABOUT_FLAT_OUT]
        ratios = ratio_table(results["flat_out"])
        if ratios:
            sections += [
                "## Ratios",
                "Median over the rounds of the ratio within a round (lowest–highest round).",
                ratios,
            ]
    if results["steady"]:
        sections += [
            f"## Below saturation: {options['load']:.0%} of the rate without mirroring",
            ABOUT_STEADY,
            steady_table(results["steady"]),
        ]
    return "\n\n".join(sections) + "\n"


def disturbances(samples: List[Sample]) -> str:
    """How far the machine was somebody else's: without it nobody can tell noise from a result."""
    stolen, others = ([sample[name] for sample in samples] for name in ("cpu_stolen", "cpu_others"))
    again = sum(sample["tries"] - 1 for sample in samples)
    return (
        f"The host of the virtual machine took {statistics.median(stolen):.1%} of a CPU (at most {max(stolen):.1%}), "
        f"other processes had {statistics.median(others):.1%} of CPU 1 (at most {max(others):.1%}); "
        f"for the former {again} measurements were taken again."
    )


def absolute_table(samples: List[Sample]) -> str:
    rows = []
    for workload, peer in groups(samples, "peer"):
        own = having(samples, workload=workload.key, peer=peer)
        rows.append(
            [workload.title, TITLES[peer], number(median(own, "rps"), 0)]
            + [number(median(own, name), 0) for name in ("p50_us", "p99_us")]
            + [
                number(median(own, "cpu_per_100k"), 2),
                percent(median(own, "cpu_busy")),
                number(median(own, "peak_rss_mb"), 1),
            ]
            + [number(median(own, "delivered_pct"), 2)]
            + [str(total(own, name)) for name in ("bad_status", "socket_errors")]
        )
    head = ["workload", "peer", "requests/s", "p50 µs", "p99 µs", "CPU s per 100k", "CPU 1", "peak RSS MB", "delivered %"]
    return table(head + FAULTS, rows)


def ratio_table(samples: List[Sample]) -> Optional[str]:
    ran = {sample["peer"] for sample in samples}
    rows = []
    for workload in present_workloads(samples):
        for over, under in PAIRS:
            if over in ran and under in ran:
                pair = [having(samples, workload=workload.key, peer=peer) for peer in (over, under)]
                cells = [ratio(*pair, name) for _, name in COMPARED]
                rows.append([workload.title, f"{TITLES[over]} ÷ {TITLES[under]}", *cells])
    return table(["workload", "pair", *(title for title, _ in COMPARED)], rows) if rows else None


def steady_table(samples: List[Sample]) -> str:
    rows = []
    for workload, family in groups(samples, "family"):
        without = having(samples, workload=workload.key, family=family, target="none")
        for state in ("none", "healthy", "dead"):
            own = having(samples, workload=workload.key, family=family, target=state)
            rows.append(
                [workload.title, TITLES[own[0]["peer"]], state, number(median(own, "rps"), 0)]
                + [number(median(own, name), 0) for name in STEADY_TIMES]
                + ["" if state == "none" else ratio(own, without, name) for name in STEADY_TIMES]
                + [number(median(own, "cpu_per_100k"), 2), number(median(own, "delivered_pct"), 2)]
                + [str(total(own, name)) for name in ("bad_status", "socket_errors")]
            )
    times = ["p50 µs", "p99 µs", "window p99 µs", "p50 ratio", "p99 ratio", "window p99 ratio"]
    head = ["workload", "peer", "target", "requests/s", *times, "CPU s per 100k", "delivered %"]
    return table(head + FAULTS, rows)


def errors(samples: List[Sample]) -> List[str]:
    """A line for each peer that did not answer everything with 2xx."""
    lines = []
    for workload, peer in groups(samples, "peer"):
        own = having(samples, workload=workload.key, peer=peer)
        bad, broken = total(own, "bad_status"), total(own, "socket_errors")
        if bad or broken:
            lines.append(f"{TITLES[peer]}, {workload.title}: {bad} answers other than 2xx, {broken} socket errors")
    return lines
