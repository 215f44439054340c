"""The measuring: which server runs when, under which load, and what is read off before and after."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import Callable, List, Optional

import load
import machine
from backend import Backend, Place, Workload
from daemon import closed_port
from entry import say
from machine import Sample
from peers import PEERS, Peer, RunningPeer

WARM_UP = 1  # seconds of the same load before what is measured: it fills the pools of connections
SETTLE_STEP = 0.3  # above the time within which the backends write their logs out
SETTLE_LIMIT = 15  # seconds that a peer is given to deliver what it still holds

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
            return load.flat_out(self.place, port, workload, duration, connections)

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
            return load.at_rate(self.place, port, workload, duration, connections, rate)

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
        return machine.least_disturbed(lambda: self.measure(peer, workload, drive, seconds, target))

    def measure(self, peer: Peer, workload: Workload, drive: Drive, seconds: int, target: Optional[Backend]) -> Sample:
        """A fresh process of the peer: warmed up, let come to rest, driven, let come to rest again.

        CPU time and counts run from rest to rest, so what a peer puts off until later is not forgotten.
        """
        with RunningPeer(peer, self.place, self.upstream.port, target.port if target else self.dead_port) as running:
            drive(running.port, WARM_UP)
            self.settle(workload, target)
            cpu = running.daemon.cpu_seconds()
            asked, copied = self.counts(workload, target)
            before = machine.seconds()
            outcome = drive(running.port, seconds)
            busy = running.daemon.cpu_seconds() - cpu
            tasks, stolen = (after - before for after, before in zip(machine.seconds(), before))
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
