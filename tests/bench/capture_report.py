"""From the samples of the listener's bench to a report in Markdown."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import reaches
from backend import WORKLOADS
from listening import PLACEMENTS
from machine import Sample
from tables import having, median, number, percent, ratio, table, total
from watchers import RING_MB, WATCHERS

TITLES = {workload.key: workload.title for workload in WORKLOADS}
ABOUT_WATCHED = (
    "CPU: user and system time of the watcher's process, until it has taken the last exchange; what the kernel does to hand it packets "
    "is done by who sends them, and shows in the ratio. Per exchange that the load generator completed, and per one that was taken: what is "
    "lost early costs little. Completed: by the load generator, warm-up and all. Counted: whole "
    "exchanges found by fastavro in the recording, or requests in the target's access log; the generator breaks off its last "
    "requests, which are counted and not completed. Lost: completed less what the watcher says it took or what was counted, "
    "whichever is less. Peak: VmHWM, which has the ring in it "
    f"({RING_MB} MB, when all of it was used)."
)
ABOUT_LAG = (
    "From right before the client's send to right after the target's recv, on one clock: the client's system call, the loopback, the "
    "time that the kernel gathers packets, the watcher, its connection to the target, and a thread of Python waking up. The "
    "row of nobody is the client's requests sent to the target itself: what all that costs without a watcher. Nothing is subtracted."
)
ABOUT_SAVED = (
    "Medians, from the start of the process to its end. The file was just written, so that it is read from memory. "
    "tcpdump copies it packet by packet and looks at none."
)
ABOUT_MEMORY = (
    "The most in each round, of wrk at its full rate and one watcher through all rounds. RssAnon is what the process allocated; RssFile "
    f"has the program and the ring of {RING_MB} MB. Held: the most that the engine's budget had in it."
)


def markdown(results: Dict[str, Any]) -> str:
    options, facts = results["options"], results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    sections = [
        "# mirror's listener beside tcpdump" + (" and GoReplay" if options["gor"] else ""),
        f"    {results['command']}",
        f"{facts['cores']} cores ({facts['cpu']}), Linux {facts['kernel']}, "
        f"load average {facts['load_before']} before the start. {versions}.\n"
        f"On the loopback, nginx with one worker, {options['connections']} connections; bodies of "
        f"{'one byte again and again' if options['bodies'] == 'x' else 'JSON'}. "
        f"Medians of {options['repeats']} interleaved rounds of {options['seconds']} s. {disturbances(results)}",
        "## Reached",
        table(
            ["what", "wanted", "measured", "reached"],
            [[r.what, r.wanted, r.measured, "yes" if r.reached else "**no**"] for r in reaches.of(results)],
        ),
    ]
    for name, title in (("full_rate", "Full rate (wrk)"), ("fixed_rate", "Fixed rate (openloop)")):
        samples = results[name]
        for key, placement in PLACEMENTS.items():
            own = having(samples, placement=key)
            if own:
                sections += [f"## {title}, {placement.title}", watched_table(own)]
        if samples:
            sections.append(ABOUT_WATCHED)
    if results["lag"]:
        sections += [f"## Lag at {options['lag_rate']:.0f} requests a second", lag_table(results["lag"]), ABOUT_LAG]
    if results["saved"]:
        sections += ["## Saved captures", saved_table(results["saved"]), ABOUT_SAVED]
    if results["memory"]:
        sections += ["## Memory", memory_table(results["memory"]), ABOUT_MEMORY]
    return "\n\n".join(sections) + "\n"


def disturbances(results: Dict[str, Any]) -> str:
    samples = results["full_rate"] + results["fixed_rate"]
    if not samples:
        return ""
    stolen, others = (max(sample[name] for sample in samples) for name in ("cpu_stolen", "cpu_others"))
    again = sum(sample["tries"] - 1 for sample in samples)
    return (
        f"The host of the virtual machine took {median(samples, 'cpu_stolen'):.1%} of a CPU (at most {stolen:.1%}), other processes "
        f"had {median(samples, 'cpu_others'):.1%} of one (at most {others:.1%}); "
        f"for the former {again} measurements were taken again."
    )


def watched_table(samples: List[Sample]) -> str:
    rows = []
    for workload in WORKLOADS:
        of_load = having(samples, workload=workload.key)
        nobody = having(of_load, watcher="none")
        for key, watcher in WATCHERS.items():
            own = having(of_load, watcher=key)
            if own:
                rows.append(
                    [workload.title, watcher.title, number(median(own, "rps"), 0), ratio(own, nobody, "rps")]
                    + [number(median(own, "p99_us"), 0)]
                    + [number(median(own, name), 2) for name in ("cpu_us", "cpu_us_delivered")]
                    + [whole(own, name) for name in ("completed", "own", "counted", "lost", "kernel_dropped")]
                    + [number(median(own, "peak_rss_mb"), 1), faults(own)]
                )
    head = ["workload", "watcher", "requests/s", "÷ nobody", "p99 µs", "CPU µs an exchange", "CPU µs one taken"]
    head += ["completed", "says it took", "counted", "lost", "kernel drops", "peak MB", "given up"]
    return table(head, rows)


def faults(samples: Sequence[Sample]) -> str:
    return "; ".join(sorted({sample["faults"] for sample in samples if sample["faults"]}))


def whole(samples: List[Sample], name: str) -> str:
    known = [sample for sample in samples if sample[name] is not None]
    return str(total(known, name)) if known else "–"


def lag_table(samples: List[Sample]) -> str:
    rows = [
        [WATCHERS[sample["watcher"]].title, str(sample["sent"]), str(sample["arrived"])]
        + [number(sample[name], 0) for name in ("median_us", "p99_us", "max_us")]
        + [percent(sample["cpu_others"])]
        for sample in samples
    ]
    return table(["watcher", "sent", "arrived", "median µs", "p99 µs", "most µs", "others had of a CPU"], rows)


def saved_table(samples: List[Sample]) -> str:
    rows = []
    for workload in dict.fromkeys(sample["workload"] for sample in samples):
        of_file = having(samples, workload=workload)
        limit = having(of_file, reader="tcpdump -r")
        for reader in dict.fromkeys(sample["reader"] for sample in of_file):
            own = having(of_file, reader=reader)
            rows.append(
                [TITLES[workload], number(own[0]["file_mb"], 0), str(own[0]["exchanges"]), reader]
                + [number(median(own, "mb_per_s"), 0), ratio(own, limit, "mb_per_s")]
                + [per_exchange(own), whole(own, "lost")]
            )
    head = ["traffic", "file MB", "exchanges", "reader", "MB/s", "÷ tcpdump -r", "CPU µs an exchange", "lost"]
    return table(head, rows)


def per_exchange(samples: List[Sample]) -> str:
    cpu: Optional[float] = median(samples, "cpu_s")
    return number(None if cpu is None else 1e6 * cpu / samples[0]["exchanges"], 2)


def memory_table(samples: List[Sample]) -> str:
    rows = []
    for sample in samples:
        for turn, part in enumerate(sample["rounds"], 1):
            rows.append(
                [TITLES[sample["workload"]], WATCHERS[sample["watcher"]].title, str(turn), number(part["rps"], 0)]
                + [number(part[kind], 1) for kind in ("VmRSS", "RssAnon", "RssFile")]
                + [number(sample[name], 1) for name in ("peak_rss_mb", "budget_peak_mb", "budget_limit_mb")]
            )
    head = ["workload", "watcher", "round", "requests/s", "VmRSS MB", "RssAnon MB", "RssFile MB"]
    return table(head + ["VmHWM MB, all rounds", "held MB", "of MB"], rows)
