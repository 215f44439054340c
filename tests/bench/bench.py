#!/usr/bin/env python3
"""`mirror` beside nginx's `mirror` module and Envoy's request mirroring, in one run on one machine.

Flat out: wrk drives every peer in turn, one worker thread each, round after round (A B C A B C), so that a machine
that drifts drifts for all. Below saturation: one peer with a healthy target, a dead one and none, at a fixed rate.
No time is asserted: the bench fails only when a server does not start, or answers with errors.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path

import machine
import report
import tools
from backend import WORKLOADS, Place
from entry import carry_out, list_of, program, say
from machine import BACKEND_CPU, PEER_CPU
from peers import PEERS
from rig import Rig

WORK = Path("target/bench")  # the venv, openloop and the report


def main() -> int:
    options = parse_arguments()
    return carry_out(lambda: run(options))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    keys = [peer.key for peer in PEERS]
    workloads = [workload.key for workload in WORKLOADS]
    families = sorted({peer.family for peer in PEERS})
    parser.add_argument(
        "--mirror", type=program, metavar="PATH", help="the mirror binary; without it the other peers are measured"
    )
    parser.add_argument("--setup", action="store_true", help="first install what is missing (apt-get; pip into a venv)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default 5)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; medians are shown (default 5)")
    parser.add_argument("--connections", type=int, default=32, help="of the load generator (default 32)")
    parser.add_argument("--only", type=list_of(keys), default=keys, metavar="PEERS", help=f"of {','.join(keys)}")
    parser.add_argument("--workloads", type=list_of(workloads), default=workloads, help=f"of {','.join(workloads)}")
    parser.add_argument(
        "--steady",
        type=list_of(families),
        default=["mirror"],
        metavar="FAMILIES",
        help=f"measured below saturation too: of {','.join(families)}, or none (default mirror)",
    )
    parser.add_argument(
        "--load", type=float, default=0.3, help="below saturation: of the plain peer's rate (default 0.3)"
    )
    parser.add_argument(
        "--empty-answers",
        action="store_true",
        help="the target answers 204 and nothing else; nginx keeps its connections to such a target alone",
    )
    parser.add_argument(
        "--out", type=Path, default=WORK / "report.md", help="the report; the raw samples go beside it, as .json"
    )
    options = parser.parse_args()
    if min(options.seconds, options.repeats, options.connections) < 1 or not 0 < options.load < 1:
        parser.error("--seconds, --repeats and --connections are at least 1, --load is between 0 and 1")
    return options


def run(options: argparse.Namespace) -> int:
    if not {BACKEND_CPU, PEER_CPU} <= os.sched_getaffinity(0):
        raise tools.Failure(
            f"CPUs {BACKEND_CPU} and {PEER_CPU} are needed, one for the peer and one for everything else"
        )
    os.sched_setaffinity(0, {BACKEND_CPU})
    peers = [peer for peer in PEERS if peer.key in options.only and (options.mirror or peer.family != "mirror")]
    steady = [family for family in options.steady if options.mirror or family != "mirror"]
    workloads = [workload for workload in WORKLOADS if workload.key in options.workloads]
    if not options.mirror:
        say("no --mirror PATH: only the other peers are measured")

    if not workloads or not (peers or steady):
        raise tools.Failure("nothing is left to measure")

    WORK.mkdir(parents=True, exist_ok=True)
    want_envoy = "envoy" in steady or any(peer.family == "envoy" for peer in peers)
    found = tools.find(WORK.resolve(), {"envoy"} if want_envoy else (), options.setup)
    results = {
        "command": shlex.join(["python3", *sys.argv]),
        "machine": machine.facts(),
        "versions": found.versions(options.mirror),
        "options": {name: value for name, value in vars(options).items() if name not in ("mirror", "out")},
        "flat_out": [],
        "steady": [],
    }
    with (
        tempfile.TemporaryDirectory(prefix="mirror-bench-") as directory,
        Rig(Place(Path(directory), found, options.mirror), options.empty_answers) as rig,
    ):
        run_lengths = (options.seconds, options.connections, options.repeats)
        for workload in workloads:
            flat_out = rig.flat_out(peers, workload, *run_lengths)
            results["flat_out"] += flat_out
            for family in steady:
                rate = options.load * rig.plain_rate(family, workload, options.connections, flat_out)
                results["steady"] += rig.below_saturation(family, workload, *run_lengths, rate)

    text = report.markdown(results)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text)
    options.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    print(text)
    say(f"written to {options.out} and {options.out.with_suffix('.json')}")
    faults = report.errors(results["flat_out"] + results["steady"])
    if faults:
        raise tools.Failure("peers answered with errors:\n" + "\n".join(f"  {fault}" for fault in faults))
    return 0


if __name__ == "__main__":
    sys.exit(main())
