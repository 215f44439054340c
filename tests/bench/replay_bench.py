#!/usr/bin/env python3
"""`mirror replay` beside wrk, which is the limit, and GoReplay where there is one, against the same nginx, in one run on one machine.

fast    as fast as it goes: wrk, mirror replay --speed max, gor --input-file
timing  a recording of ten seconds at 100 % and 200 %, and how late requests go at a rate below saturation, beside a small program that holds the
        same rate and does nothing else (openloop): where the machine takes the CPU away for a while both are late

No time is asserted: the bench fails only when a program does not do its work. What is to be reached, and was or was not, is told.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List

import load
import machine
import tools
from backend import WORKLOADS, Backend, Place
from daemon import Daemon
from entry import carry_out, list_of, program, say
from machine import Sample
from reaches import Reach, most
from tables import number, table

WORK = Path("target/bench")
SECTIONS = ["fast", "timing"]
TINY = WORKLOADS[0]
EITHER = (0, 1)
OF_WRK, OF_GOR, CPU_US = 0.6, 8, 50
OFF, LATE_US, OF_OPENLOOP = 0.005, 2000, 1.25
CONNECTIONS = 256  # of openloop: none waits for one
SETTLE = 0.5  # seconds without a request: GoReplay does not end by itself


def main() -> int:
    options = parse_arguments()
    return carry_out(lambda: run(options))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--mirror", type=program, metavar="PATH", required=True, help="the mirror binary (cargo build --release)")
    add("--gor", type=lambda path: program(path) if path else None, metavar="PATH", help="a GoReplay binary")
    add("--setup", action="store_true", help="first install what is missing (apt-get; pip into a venv)")
    add("--sections", type=list_of(SECTIONS), default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    add("--seconds", type=int, default=5, help="fast: of each measurement (default 5)")
    add("--repeats", type=int, default=3, help="rounds; medians are shown (default 3)")
    add("--connections", type=int, default=32, help="fast: of each program (default 32)")
    add("--rate", type=float, default=2000, help="timing: requests a second in the recording (default 2000)")
    add("--span", type=float, default=10, help="timing: seconds that the recording has (default 10)")
    add("--out", type=Path, default=WORK / "replay.md", help="the report; the raw samples go beside it, as .json")
    options = parser.parse_args()
    if min(options.seconds, options.repeats, options.connections) < 1 or min(options.rate, options.span) <= 0:
        parser.error("counts and seconds are at least 1, rates are above 0")
    return options


def run(options: argparse.Namespace) -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    found = tools.find(WORK.resolve(), {"fastavro"}, options.setup)
    results: Dict[str, Any] = {
        "command": shlex.join(["python3", *sys.argv]),
        "machine": machine.facts(),
        "versions": found.versions(options.mirror, options.gor),
        "fast": [],
        "timing": [],
    }
    with tempfile.TemporaryDirectory(prefix="mirror-bench-") as directory:
        place = Place(Path(directory), found, options.mirror, options.gor)
        with Backend(place, "target") as target:
            target.daemon.run_on(EITHER)
            # First: a machine that others share may be held back for a while after it went flat out.
            if "timing" in options.sections:
                results["timing"] = timing(options, place, target)
            if "fast" in options.sections:
                results["fast"] = fast(options, place, target)
    reaches = fast_reaches(results["fast"]) + timing_reaches(results["timing"])
    text = markdown(results, reaches)
    options.out.write_text(text)
    options.out.with_suffix(".json").write_text(json.dumps(results, indent=1, default=str) + "\n")
    print(text)
    say(f"written to {options.out} and {options.out.with_suffix('.json')}")
    for reach in reaches:
        if not reach.reached:
            say(f"not reached: {reach.what}: {reach.wanted}; measured {reach.measured}")
    return 0


def tape(place: Place, name: str, count: int, rate: float, port: int) -> Path:
    path = place.directory / name
    script = Path(__file__).with_name("tape.py")
    tools.run([place.tools.fastavro or "", str(script), str(path), str(count), str(rate), TINY.path, f"127.0.0.1:{port}"])
    return path


def replay(place: Place, target: Backend, recording: Path, *flags: str) -> Sample:
    """Runs it to its end: what it says, and what it used."""
    report = place.directory / "report.json"
    shadow = f"--shadow=127.0.0.1:{target.port}"
    argv = [place.mirror or "mirror", "replay", str(recording), shadow, "--admin=off", f"--report={report}", *flags]
    before, began = target.count(TINY), time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode != 0:
        raise tools.Failure(f"{shlex.join(argv)} ended with {process.returncode}\n{output[-3000:]}")
    told = json.loads(report.read_text())
    time.sleep(0.3)  # until nginx has written its log
    return {
        "requests": told["targets"][0]["answered"],
        "arrived": target.count(TINY) - before,
        "seconds": told["took_seconds"],
        "wall": wall,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_rss_mb": used.ru_maxrss / 1024,
        "report": told,
    }


def fast(options: argparse.Namespace, place: Place, target: Backend) -> List[Sample]:
    samples = []
    recording = tape(place, "fast.avro", 100_000, 100_000, target.port)
    gor = tape(place, "fast.gor", 100_000, 100_000, target.port) if options.gor else None
    for turn in range(1, options.repeats + 1):
        outcome = load.flat_out(place, target.port, TINY, options.seconds, options.connections, EITHER)
        samples.append({"round": turn, "peer": "wrk", "rps": outcome["requests"] / outcome["seconds"], "cpu_us": None})
        flags = ["--speed=max", f"--concurrency={options.connections}", "--loop", f"--duration={options.seconds}s"]
        done = replay(place, target, recording, *flags)
        if done["arrived"] < done["requests"]:
            raise tools.Failure(f"{done['requests']} were answered, and {done['arrived']} arrived")
        cpu = done["cpu_s"] * 1e6 / done["requests"]
        samples.append(
            {"round": turn, "peer": "mirror", "rps": done["requests"] / done["seconds"], "cpu_us": cpu, **done}
        )
        if gor:
            samples.append({"round": turn, "peer": "gor", **goreplay(options, place, target, gor)})
        for sample in samples[-3 if gor else -2 :]:
            say(f"fast, {turn}/{options.repeats}, {sample['peer']}: {sample['rps']:.0f}/s")
    return samples


def goreplay(options: argparse.Namespace, place: Place, target: Backend, recording: Path) -> Sample:
    """At the speed at which it never waits, with as many workers as the others have connections."""
    argv = [place.gor or "gor", "--input-file", f"{recording}|100000%", "--input-file-loop", "--stats"]
    argv += ["--output-http", f"http://127.0.0.1:{target.port}", "--output-http-workers", str(options.connections)]
    with Daemon("gor", argv, place.directory, EITHER) as daemon:
        time.sleep(SETTLE)
        before, cpu, began = target.count(TINY), daemon.cpu_seconds(), time.monotonic()
        time.sleep(options.seconds)
        arrived, cpu = target.count(TINY) - before, daemon.cpu_seconds() - cpu
        took = time.monotonic() - began
        peak = daemon.peak_rss_mb()
    return {"rps": arrived / took, "cpu_us": cpu * 1e6 / arrived if arrived else None, "peak_rss_mb": peak}


def timing(options: argparse.Namespace, place: Place, target: Backend) -> List[Sample]:
    count = round(options.rate * options.span) + 1
    recording = tape(place, "timing.avro", count, options.rate, target.port)
    samples = []
    for speed in (100, 200):
        planned, rate = options.span * 100 / speed, options.rate * speed / 100
        for turn in range(1, options.repeats + 1):
            peer = load.at_rate(place, target.port, TINY, planned, CONNECTIONS, rate, EITHER)["wait_p99_us"]
            done = replay(place, target, recording, f"--speed={speed}%")
            late = done["report"]["targets"][0]["lateness_seconds"]
            sample = {"round": turn, "speed": speed, "planned": planned, "late": late, "openloop_us": peer, **done}
            say(
                f"timing, {speed} %, {turn}/{options.repeats}: {sample['seconds']:.3f} s, late p99 {late['p99'] * 1e6:.0f} us, "
                f"openloop {peer:.0f} us"
            )
            samples.append(sample)
    return samples


def fast_reaches(samples: List[Sample]) -> List[Reach]:
    own = [sample for sample in samples if sample["peer"] == "mirror"]
    if not own:
        return []
    rate = {peer: median(samples, peer, "rps") for peer in dict.fromkeys(sample["peer"] for sample in samples)}
    found = []
    for peer, wanted in (("wrk", OF_WRK), ("gor", OF_GOR)):
        if rate.get(peer):
            measured = rate["mirror"] / rate[peer]
            found.append(Reach(f"fast, beside {peer}", f"≥ {wanted} ×", f"{measured:.2f} ×", measured >= wanted))
    found.append(most("fast, CPU a request", [sample["cpu_us"] for sample in own], CPU_US, "µs"))
    return found


def timing_reaches(samples: List[Sample]) -> List[Reach]:
    found = []
    for speed in dict.fromkeys(sample["speed"] for sample in samples):
        own = [sample for sample in samples if sample["speed"] == speed]
        took, planned = statistics.median(sample["seconds"] for sample in own), own[0]["planned"]
        off = took / planned - 1
        wanted = f"{planned:.0f} s ± {OFF:.1%}"
        found.append(Reach(f"a recording at {speed} %", wanted, f"{took:.3f} s, {off:+.2%}", abs(off) <= OFF))
        late = statistics.median(sample["late"]["p99"] * 1e6 for sample in own)
        ratio = late / statistics.median(sample["openloop_us"] for sample in own)
        wanted = f"≤ {LATE_US} µs, or {OF_OPENLOOP} × openloop's"
        reached = late <= LATE_US or ratio <= OF_OPENLOOP
        found.append(Reach(f"lateness at {speed} %, p99", wanted, f"{late:.0f} µs, {ratio:.2f} × it", reached))
    return found


def median(samples: List[Sample], peer: str, name: str) -> float:
    values = [sample[name] for sample in samples if sample["peer"] == peer and sample.get(name) is not None]
    return statistics.median(values) if values else 0


def markdown(results: Dict[str, Any], reaches: List[Reach]) -> str:
    facts = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    sections = [
        "# mirror replay beside wrk" + (" and GoReplay" if "GoReplay" in results["versions"] else ""),
        f"    {results['command']}",
        f"{facts['cores']} cores ({facts['cpu']}), Linux {facts['kernel']}, load average {facts['load_before']} before the "
        f"start. {versions}.\nTiny GETs to one nginx with one worker; all have both CPUs.",
        table(
            ["what", "wanted", "measured", "reached"],
            [[r.what, r.wanted, r.measured, "yes" if r.reached else "**no**"] for r in reaches],
        ),
    ]
    if results["fast"]:
        rows = []
        for peer in dict.fromkeys(sample["peer"] for sample in results["fast"]):
            rate, cpu, memory = (median(results["fast"], peer, name) for name in ("rps", "cpu_us", "peak_rss_mb"))
            rows.append([peer, number(rate, 0), number(cpu or None, 1), number(memory or None, 1)])
        sections += ["## As fast as it goes", table(["program", "requests/s", "CPU µs a request", "peak RSS MB"], rows)]
    if results["timing"]:
        rows = [
            [f"{s['speed']} %", f"{s['planned']:.2f}", f"{s['seconds']:.3f}", f"{s['wall']:.3f}"]
            + [number(s["late"][name] * 1e6, 0) for name in ("p50", "p99", "max")]
            + [number(s["openloop_us"], 0)]
            for s in results["timing"]
        ]
        head = ["speed", "planned s", "took s", "the process s", "late p50 µs", "p99 µs", "max µs", "openloop p99 µs"]
        sections += ["## Timing", table(head, rows)]
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    sys.exit(main())
