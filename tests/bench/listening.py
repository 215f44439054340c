"""The measuring of watchers: who watches which load, on which CPUs, and what is read off before and after."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Callable, FrozenSet, List, Optional, Tuple

import load
import machine
from backend import Backend, Place, Workload
from entry import say
from machine import BACKEND_CPU, PEER_CPU, Sample
from tools import Failure
from watchers import WATCHERS, Watcher

WARM_UP = 1  # seconds of the same load before what is measured
REST_STEP = 0.2
REST_LIMIT = 20  # seconds that a watcher is given to take what it has seen

Drive = Callable[[int], load.Outcome]  # (seconds)


@dataclass(frozen=True)
class Placement:
    key: str
    title: str
    load: FrozenSet[int]  # CPUs of the load generator, the upstream and the target
    watcher: FrozenSet[int]


EITHER = frozenset({BACKEND_CPU, PEER_CPU})
PLACEMENTS = {
    placement.key: placement
    for placement in (
        Placement("shared", "all on both CPUs", EITHER, EITHER),
        Placement("apart", "the watcher on a CPU of its own", frozenset({BACKEND_CPU}), frozenset({PEER_CPU})),
    )
}


class Listening(contextlib.ExitStack):
    """The upstream that is watched and the target, which run from the first measurement to the last."""

    def __init__(self, place: Place):
        super().__init__()
        self.place = place
        try:
            self.upstream = self.enter_context(Backend(place, "upstream"))
            self.target = self.enter_context(Backend(place, "target"))
        except BaseException:
            self.close()
            raise

    def full_rate(
        self, keys: List[str], workload: Workload, placement: Placement, seconds: int, connections: int, repeats: int
    ) -> List[Sample]:
        """wrk as fast as it goes, every watcher in turn, round after round."""

        def drive(duration: int) -> load.Outcome:
            return load.flat_out(self.place, self.upstream.port, workload, duration, connections, placement.load)

        return self.rounds(keys, workload, placement, drive, seconds, repeats, "full rate")

    def fixed_rate(
        self,
        keys: List[str],
        workload: Workload,
        placement: Placement,
        seconds: int,
        connections: int,
        repeats: int,
        rate: float,
    ) -> List[Sample]:
        def drive(duration: int) -> load.Outcome:
            port = self.upstream.port
            return load.at_rate(self.place, port, workload, duration, connections, rate, placement.load)

        return self.rounds(keys, workload, placement, drive, seconds, repeats, f"{rate:.0f}/s")

    def rounds(
        self,
        keys: List[str],
        workload: Workload,
        placement: Placement,
        drive: Drive,
        seconds: int,
        repeats: int,
        title: str,
    ) -> List[Sample]:
        samples = []
        for turn in range(1, repeats + 1):
            for key in keys:
                sample = machine.least_disturbed(lambda: self.measure(key, workload, placement, drive, seconds))
                samples.append({"round": turn, **sample})
                say(
                    f"{title}, {workload.title}, {placement.key}, {turn}/{repeats}, {WATCHERS[key].title}: "
                    f"{sample['rps']:.0f}/s, {sample['cpu_us'] or 0:.1f} us, lost {sample['lost']}"
                )
        return samples

    def measure(self, key: str, workload: Workload, placement: Placement, drive: Drive, seconds: int) -> Sample:
        """A fresh watcher: warmed up, let come to rest, its upstream driven, let come to rest again, and ended.

        CPU time runs from rest to rest, so that what it puts off is not forgotten. What is lost is counted over its whole life.
        """
        self.on(placement)
        delivered_before = self.target.count(workload)
        with WATCHERS[key](self.place, self.upstream.port, self.target.port, placement.watcher) as watcher:
            warm = drive(WARM_UP)
            self.rest(watcher, workload)
            cpu, taken = watcher.cpu_seconds(), self.taken(watcher, workload)
            before = self.disturbance(watcher)
            outcome = drive(seconds)
            others, stolen = (after - before for after, before in zip(self.disturbance(watcher), before))
            self.rest(watcher, workload)
            cpu, taken = watcher.cpu_seconds() - cpu, self.taken(watcher, workload) - taken
            told = watcher.end()
        if watcher.shadows:
            told["counted"] = self.target.count(workload) - delivered_before
        completed = warm["requests"] + outcome["requests"]
        return {
            "watcher": key,
            "workload": workload.key,
            "placement": placement.key,
            "cpu_stolen": stolen / seconds,
            "cpu_others": others / seconds,
            "rps": outcome["requests"] / outcome["seconds"],
            "cpu_us": each(cpu, outcome["requests"]) if watcher.daemon else None,
            "cpu_us_delivered": each(cpu, taken),
            "completed": completed,
            "lost": lost(completed, told["own"], told["counted"]),
            **told,
            **outcome,
        }

    def taken(self, watcher: Watcher, workload: Workload) -> int:
        return self.target.count(workload) if watcher.shadows else watcher.taken() or 0

    def disturbance(self, watcher: Watcher) -> Tuple[float, float]:
        """CPU seconds so far that other processes had, and that the host of a virtual machine took."""
        busy, stolen = machine.seconds(EITHER)
        servers = sum(backend.daemon.cpu_seconds() for backend in (self.upstream, self.target))
        times = os.times()  # of this process, and of the load generators that have ended
        here = times.user + times.system + times.children_user + times.children_system
        return busy - servers - watcher.cpu_seconds() - here, stolen

    def on(self, placement: Placement) -> None:
        for backend in (self.upstream, self.target):
            backend.daemon.run_on(placement.load)

    def rest(self, watcher: Watcher, workload: Workload) -> None:
        """Until nothing has moved for as long as the watcher may keep it."""
        deadline = time.monotonic() + REST_LIMIT
        last, since = None, time.monotonic()
        while time.monotonic() < deadline:
            now = (self.upstream.count(workload), self.target.count(workload), watcher.still())
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since >= watcher.rest:
                return
            time.sleep(REST_STEP)
        raise Failure(f"{watcher.title} did not come to rest in {REST_LIMIT} s: {last}")


def each(cpu: float, count: int) -> Optional[float]:
    """Microseconds."""
    return 1e6 * cpu / count if count else None


def lost(completed: int, *taken: Optional[int]) -> Optional[int]:
    """By the lower of the counts. At the end of each load the generator breaks off what is under way, which is taken too and not
    completed: so a loss of fewer than its connections could hide here, but not from what the watcher says it gave up."""
    known = [count for count in taken if count is not None]
    return max(0, completed - min(known)) if known else None
