#!/usr/bin/env python3
"""`mirror`'s listener on the loopback, beside tcpdump writing to nowhere, and GoReplay where there is one, in one run on one machine.

full-rate    wrk as fast as it goes: what each watcher costs the primary and itself, and what it loses
fixed-rate   so many requests a second to a target
lag          from a request to its copy at the target, at a low rate
saved        reading a capture that tcpdump made
memory       whether it stays flat

No time is asserted: the bench fails only when a program does not do its work. What is to be reached, and was or was not, is told.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

import capture_report
import lag
import machine
import memory
import reaches
import saved
import tools
from backend import BODIES, WORKLOADS, Place, Workload
from entry import carry_out, list_of, program, say
from listening import PLACEMENTS, Listening
from watchers import WATCHERS, Mirror, is_gor

WORK = Path("target/bench")  # the venv, openloop and the report
SECTIONS = ["full-rate", "fixed-rate", "lag", "saved", "memory"]


def main() -> int:
    options = parse_arguments()
    return carry_out(lambda: run(options))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    workloads, watchers = [workload.key for workload in WORKLOADS], list(WATCHERS)
    add = parser.add_argument
    add("--mirror", type=program, metavar="PATH", required=True, help="the mirror binary (cargo build --release)")
    add("--gor", type=optional_program, metavar="PATH", help="a GoReplay binary; without it, it is left out")
    add("--setup", action="store_true", help="first install what is missing (apt-get; pip into a venv)")
    add("--sections", type=list_of(SECTIONS), default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    add("--workloads", type=list_of(workloads), default=workloads, help=f"of {','.join(workloads)}")
    add("--watchers", type=some_of(watchers), default=watchers, help=f"of {','.join(watchers)}")
    add("--placements", type=list_of(list(PLACEMENTS)), default=list(PLACEMENTS), help=f"of {','.join(PLACEMENTS)}")
    add("--seconds", type=int, default=5, help="of each measurement (default 5)")
    add("--repeats", type=int, default=3, help="rounds; medians are shown (default 3)")
    add("--connections", type=int, default=32, help="of the load generator (default 32)")
    add("--bodies", choices=list(BODIES), default="x", help="what long bodies are of: it matters to what compresses")
    add("--rate", type=float, default=10000, help="fixed-rate: requests a second (default 10000)")
    add("--lag-rate", type=float, default=20, help="lag: requests a second (default 20)")
    add("--lag-seconds", type=float, default=10, help="lag: of each watcher (default 10)")
    add("--saved-mb", type=int, default=300, help="saved: size of the captures; a fourth of it for tiny (default 300)")
    add("--memory-rounds", type=int, default=3, help="memory: rounds of --seconds, without a rest (default 3)")
    add("--out", type=Path, default=WORK / "capture.md", help="the report; the raw samples go beside it, as .json")
    options = parser.parse_args()
    counts = (options.seconds, options.repeats, options.connections, options.saved_mb, options.memory_rounds)
    if min(counts) < 1 or min(options.rate, options.lag_rate, options.lag_seconds) <= 0:
        parser.error("counts, seconds and sizes are at least 1, rates are above 0")
    return options


def some_of(known: List[str]) -> Any:
    """A list in which `none` is one of them."""
    parse = list_of([name for name in known if name != "none"])
    return lambda text: [name for name in text.split(",") if name == "none"] + parse(text)


def optional_program(path: str) -> Any:
    """Of a variable of make that was not set, nothing is left."""
    return program(path) if path else None


def run(options: argparse.Namespace) -> int:
    keys = [key for key in options.watchers if options.gor or not is_gor(key)]
    workloads = [workload for workload in WORKLOADS if workload.key in options.workloads]
    WORK.mkdir(parents=True, exist_ok=True)
    found = tools.find(WORK.resolve(), {"tcpdump", "fastavro"}, options.setup)
    results: Dict[str, Any] = {
        "command": shlex.join(["python3", *sys.argv]),
        "machine": machine.facts(),
        "versions": found.versions(options.mirror, options.gor),
        "options": {name: value for name, value in vars(options).items() if name not in ("mirror", "out")},
        **{section.replace("-", "_"): [] for section in SECTIONS},
    }
    with (
        tempfile.TemporaryDirectory(prefix="mirror-bench-") as directory,
        Listening(Place(Path(directory), found, options.mirror, options.gor, options.bodies)) as listening,
    ):
        measure(options, listening, keys, workloads, results)
    text = capture_report.markdown(results)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text)
    options.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    print(text)
    say(f"written to {options.out} and {options.out.with_suffix('.json')}")
    for reach in reaches.of(results):
        if not reach.reached:
            say(f"not reached: {reach.what}: {reach.wanted}; measured {reach.measured}")
    return 0


def measure(
    options: argparse.Namespace,
    listening: Listening,
    keys: List[str],
    workloads: List[Workload],
    results: Dict[str, Any],
) -> None:
    placements = [PLACEMENTS[key] for key in options.placements]
    shadowing = [key for key in keys if WATCHERS[key].shadows]
    lengths = (options.seconds, options.connections)
    for placement in placements:
        for workload in workloads:
            if "full-rate" in options.sections:
                samples = listening.full_rate(keys, workload, placement, *lengths, options.repeats)
                results["full_rate"] += samples
            if "fixed-rate" in options.sections:
                watching = [key for key in keys if key == "none"] + shadowing
                samples = listening.fixed_rate(watching, workload, placement, *lengths, options.repeats, options.rate)
                results["fixed_rate"] += [{**sample, "asked_rps": options.rate} for sample in samples]
    if "lag" in options.sections:
        watching = [key for key in keys if key == "none"] + shadowing
        results["lag"] = lag.measure(listening, watching, PLACEMENTS["shared"], options.lag_rate, options.lag_seconds)
    if "saved" in options.sections:
        for workload in workloads:
            megabytes = max(1, options.saved_mb // (4 if workload.key == "tiny" else 1))
            results["saved"] += saved.measure(listening, workload, megabytes, options.repeats)
    if "memory" in options.sections:
        mirrors = [key for key in keys if issubclass(WATCHERS[key], Mirror)]
        for workload in workloads:
            results["memory"] += memory.measure(
                listening, mirrors, workload, PLACEMENTS["shared"], *lengths, options.memory_rounds
            )


if __name__ == "__main__":
    sys.exit(main())
