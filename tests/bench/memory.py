"""Whether memory is flat in the length of a run: a watcher's, looked at all the time while wrk goes as fast as it goes."""

from __future__ import annotations

import threading
from typing import Dict, List

import load
from backend import Workload
from daemon import Daemon
from entry import say
from listening import Listening, Placement
from machine import Sample
from watchers import RING_MB, WATCHERS

LOOK_EVERY = 0.05  # seconds
KINDS = ("VmRSS", "RssAnon", "RssFile")


class Looker(threading.Thread):
    """Notes the most of each kind of memory, until it is stopped."""

    def __init__(self, daemon: Daemon):
        super().__init__(daemon=True)
        self.watched = daemon
        self.most: Dict[str, float] = dict.fromkeys(KINDS, 0.0)
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(LOOK_EVERY):
            for kind in KINDS:
                self.most[kind] = max(self.most[kind], self.watched.memory_mb(kind))

    def stop(self) -> Dict[str, float]:
        self.done.set()
        self.join()
        return self.most


def measure(
    listening: Listening,
    keys: List[str],
    workload: Workload,
    placement: Placement,
    seconds: int,
    connections: int,
    rounds: int,
) -> List[Sample]:
    listening.on(placement)
    samples = []
    for key in keys:
        port = listening.upstream.port
        with WATCHERS[key](listening.place, port, listening.target.port, placement.watcher) as watcher:
            assert watcher.daemon
            by_round = []
            for turn in range(1, rounds + 1):
                looker = Looker(watcher.daemon)
                looker.start()
                outcome = load.flat_out(listening.place, port, workload, seconds, connections, placement.load)
                by_round.append({**looker.stop(), "rps": outcome["requests"] / outcome["seconds"]})
                say(f"memory, {workload.title}, {watcher.title}, {turn}/{rounds}: {by_round[-1]['VmRSS']:.0f} MB")
            listening.rest(watcher, workload)
            told = watcher.end()
        samples.append({"watcher": key, "workload": workload.key, "ring_mb": RING_MB, "rounds": by_round, **told})
    return samples
