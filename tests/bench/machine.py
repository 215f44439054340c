"""The machine beside the bench: what it is, and how far it was somebody else's."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Tuple

from daemon import TICKS

BACKEND_CPU = 0  # load generator, upstream and target
PEER_CPU = 1  # the peer has it to itself
STOLEN_LIMIT = 0.02  # of a CPU's time, taken by the host of a virtual machine: a measurement beyond it is taken again
TRIES = 3  # at one measurement

Sample = Dict[str, Any]


def facts() -> Dict[str, Any]:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": models[0].split(":", 1)[1].strip() if models else platform.machine(),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def seconds(at_work: Iterable[int] = (PEER_CPU,)) -> Tuple[float, float]:
    """So far: these CPUs at work for whatever process; and either CPU taken away by the host of a virtual machine."""
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    cpus = {line[0]: [int(field) / TICKS for field in line[1:9]] for line in lines if line[0].startswith("cpu")}
    # All but idle, iowait and what was stolen.
    busy = sum(sum(cpus[f"cpu{cpu}"][:3]) + sum(cpus[f"cpu{cpu}"][5:7]) for cpu in at_work)
    return busy, sum(cpus[f"cpu{cpu}"][7] for cpu in (BACKEND_CPU, PEER_CPU))


def least_disturbed(measure: Callable[[], Sample]) -> Sample:
    """The first try within STOLEN_LIMIT, or else the least disturbed one: chosen by that alone, never by its result."""
    tries: List[Sample] = []
    while len(tries) < TRIES and not (tries and tries[-1]["cpu_stolen"] <= STOLEN_LIMIT):
        tries.append(measure())
    return {**min(tries, key=lambda sample: sample["cpu_stolen"]), "tries": len(tries)}
