"""The two load generators: wrk as fast as it goes, and openloop at a fixed rate."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Dict, Iterable, List

from backend import Place, Workload
from machine import BACKEND_CPU
from tools import HERE, Failure

Outcome = Dict[
    str, Any
]  # requests, seconds, p50_us, p99_us, max_us, bad_status, socket_errors; at a rate also window_p99_us, wait_p99_us
HALF = (BACKEND_CPU,)  # the CPUs it has beside a peer that has its own


def flat_out(
    place: Place, port: int, workload: Workload, seconds: float, connections: int, cpus: Iterable[int] = HALF
) -> Outcome:
    """Every connection sends its next request when the answer has come (closed loop)."""
    whole_seconds = max(1, round(seconds))  # wrk knows no fractions
    return generate(
        [place.tools.wrk, "-t1", f"-c{connections}", f"-d{whole_seconds}s", "-s", str(HERE / "wrk.lua")]
        + [f"http://127.0.0.1:{port}{workload.path}", "--", str(workload.body), str(place.long_body)],
        whole_seconds,
        cpus,
    )


def at_rate(
    place: Place,
    port: int,
    workload: Workload,
    seconds: float,
    connections: int,
    rate: float,
    cpus: Iterable[int] = HALF,
) -> Outcome:
    """Requests fall due at random moments, `rate` of them a second, whatever the answers do (open loop)."""
    return generate(
        [place.tools.openloop, "127.0.0.1", str(port), workload.path, str(workload.body)]
        + [f"{rate:.1f}", str(seconds), str(connections)],
        seconds,
        cpus,
    )


def generate(argv: List[str], seconds: float, cpus: Iterable[int]) -> Outcome:
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"the load generator did not end: {' '.join(argv)}")
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines or not lines[-1].startswith("{"):
        raise Failure(f"the load generator failed: {' '.join(argv)}\n{done.stdout}{done.stderr}")
    return json.loads(lines[-1])
