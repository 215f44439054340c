"""The measuring: which server runs when, under which load, and what is read off before and after."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import load
from daemon import TICKS, closed_port
from peers import BACKEND_CPU, PEER_CPU, PEERS, Backend, Peer, Place, RunningPeer, Workload

WARM_UP = 1  # seconds of the same load before what is measured: it fills the pools of connections
SETTLE_STEP = 0.3  # above the time within which the backends write their logs out
STOLEN_LIMIT = 0.02  # of a CPU's time, taken by the host of a virtual machine: a measurement beyond it is taken again
TRIES = 3  # at one measurement
SETTLE_LIMIT = 15  # seconds that a peer is given to deliver what it still holds

Sample = Dict[str, Any]
Drive = Callable[[int, int], load.Outcome]  # (port, seconds)


class Rig(contextlib.ExitStack):
    """The upstream and the targets, which run from the first measurement to the last."""

    def __init__(self, place: Place, empty_answers: bool):
        super().__init__()
        self.place = place
        try:
            self.upstream = self.enter_context(Backend(place, "upstream"))
            self.target = self.enter_context(Backend(place, "target", empty_answers=empty_answers))
            # Below saturation, latency is the question. A real target is another machine; this one shares a CPU with the
            # upstream, so it gets only the time that the upstream leaves, lest its work be taken for the peer's delay.
            self.polite_target = self.enter_context(Backend(place, "polite-target", True, empty_answers))
            self.dead_port = self.enter_context(closed_port()).getsockname()[1]
        except BaseException:
            self.close()
            raise

    def flat_out(
        self, peers: List[Peer], workload: Workload, seconds: int, connections: int, repeats: int
    ) -> List[Sample]:
        def drive(port: int, duration: int) -> load.Outcome:
            return load.flat_out(self.place.tools, port, workload, duration, connections)

        samples = []
        for turn in range(1, repeats + 1):
            for peer in peers:
                sample = self.measure_undisturbed(peer, workload, drive, seconds, self.target)
                say(f"{workload.title}, flat out, {turn}/{repeats}, {peer.title}: {sample['rps']:.0f}/s")
                samples.append({"round": turn, **sample})
        return samples

    def below_saturation(
        self, family: str, workload: Workload, seconds: int, connections: int, repeats: int, rate: float
    ) -> List[Sample]:
        def drive(port: int, duration: int) -> load.Outcome:
            return load.at_rate(self.place.tools, port, workload, duration, connections, rate)

        plain, shadowing = (
            next(p for p in PEERS if p.family == family and p.shadows is shadows) for shadows in (False, True)
        )
        settings = [("none", plain, None), ("healthy", shadowing, self.polite_target), ("dead", shadowing, None)]
        samples = []
        for turn in range(1, repeats + 1):
            for state, peer, target in settings:
                sample = self.measure_undisturbed(peer, workload, drive, seconds, target)
                say(
                    f"{workload.title}, {rate:.0f}/s, {turn}/{repeats}, {peer.title}, target {state}: p99 {sample['p99_us']:.0f} us"
                )
                samples.append({"round": turn, "family": family, "target": state, "asked_rps": rate, **sample})
        return samples

    def plain_rate(self, family: str, workload: Workload, connections: int, measured: List[Sample]) -> float:
        """What the family does flat out without mirroring: the median of this run, or a short measurement of its own."""
        plain = next(peer for peer in PEERS if peer.family == family and not peer.shadows)
        rates = [sample["rps"] for sample in measured if sample["peer"] == plain.key]
        if not rates:
            rates = [sample["rps"] for sample in self.flat_out([plain], workload, 2, connections, 1)]
        return statistics.median(rates)

    def measure_undisturbed(
        self, peer: Peer, workload: Workload, drive: Drive, seconds: int, target: Optional[Backend]
    ) -> Sample:
        """The first try within STOLEN_LIMIT, or else the least disturbed one: chosen by that alone, never by its result."""
        tries: List[Sample] = []
        while len(tries) < TRIES and not (tries and tries[-1]["cpu_stolen"] <= STOLEN_LIMIT):
            tries.append(self.measure(peer, workload, drive, seconds, target))
        return {**min(tries, key=lambda sample: sample["cpu_stolen"]), "tries": len(tries)}

    def measure(self, peer: Peer, workload: Workload, drive: Drive, seconds: int, target: Optional[Backend]) -> Sample:
        """A fresh process of the peer: warmed up, let come to rest, driven, let come to rest again.

        CPU time and counts run from rest to rest, so what a peer puts off until later is not forgotten.
        """
        with RunningPeer(peer, self.place, self.upstream.port, target.port if target else self.dead_port) as running:
            drive(running.port, WARM_UP)
            self.settle(workload, target)
            cpu = running.daemon.cpu_seconds()
            asked, copied = self.counts(workload, target)
            machine = machine_seconds()
            outcome = drive(running.port, seconds)
            busy = running.daemon.cpu_seconds() - cpu
            tasks, stolen = (after - before for after, before in zip(machine_seconds(), machine))
            self.settle(workload, target)
            cpu = running.daemon.cpu_seconds() - cpu
            asked, copied = (after - before for after, before in zip(self.counts(workload, target), (asked, copied)))
            running.daemon.check_alive()
            return {
                "workload": workload.key,
                "peer": peer.key,
                "rps": outcome["requests"] / outcome["seconds"],
                "cpu_per_100k": cpu / asked * 1e5 if asked else None,
                "cpu_busy": busy / outcome["seconds"],
                "cpu_others": max(0.0, (tasks - busy) / outcome["seconds"]),
                "cpu_stolen": stolen / outcome["seconds"],
                "peak_rss_mb": running.daemon.peak_rss_mb(),
                "requests_upstream": asked,
                "delivered_pct": 100 * copied / asked if peer.shadows and target and asked else None,
                **outcome,
            }

    def counts(self, workload: Workload, target: Optional[Backend]) -> List[int]:
        return [self.upstream.count(workload), target.count(workload) if target else 0]

    def settle(self, workload: Workload, target: Optional[Backend]) -> None:
        """Until neither upstream nor target has got anything for a while."""
        deadline = time.monotonic() + SETTLE_LIMIT
        before, now = None, self.counts(workload, target)
        while now != before and time.monotonic() < deadline:
            time.sleep(SETTLE_STEP)
            before, now = now, self.counts(workload, target)


def machine_seconds() -> Tuple[float, float]:
    """So far: the peer's CPU at work for whatever process; and either CPU taken away by the host of a virtual machine."""
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    cpus = {line[0]: [int(field) / TICKS for field in line[1:9]] for line in lines if line[0].startswith("cpu")}
    user, nice, system, _idle, _iowait, irq, softirq = cpus[f"cpu{PEER_CPU}"][:7]
    return user + nice + system + irq + softirq, sum(cpus[f"cpu{cpu}"][7] for cpu in (BACKEND_CPU, PEER_CPU))


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
