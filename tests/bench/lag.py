"""How long after a request its copy arrives: a client and a target in one process, hence one clock, and what watches in between."""

from __future__ import annotations

import contextlib
import random
import socket
import statistics
import threading
import time
from typing import Dict, List, Optional

from entry import say
from listening import Listening, Placement
from machine import Sample
from tables import number
from tools import Failure
from watchers import WATCHERS

STAMP = b"x-sent: "  # nanoseconds of the client's monotonic clock
PATIENCE = 5  # seconds for the last copies; GoReplay takes two and more
WARM_UP = 1  # seconds
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


class StampedTarget:
    """A server that notes when a request's head has come, and how long that is after the time in it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lags_ns: List[int] = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self) -> "StampedTarget":
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            text = b""
            while received := connection.recv(65536):
                now = time.monotonic_ns()
                text += received
                while b"\r\n\r\n" in text:
                    head, text = text.split(b"\r\n\r\n", 1)
                    lines = (line for line in head.split(b"\r\n") if line.lower().startswith(STAMP))
                    self.lags_ns += [now - int(line[len(STAMP) :]) for line in lines]
                    connection.sendall(ANSWER)


def send(port: int, rate: float, seconds: float) -> int:
    """Requests on one connection, at random moments: at regular ones they would beat with the timers in between."""
    chance = random.Random(2)
    count = round(rate * seconds)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            time.sleep(chance.uniform(0.5, 1.5) / rate)
            head = b"GET /tiny HTTP/1.1\r\nHost: app\r\n" + STAMP
            connection.sendall(head + str(time.monotonic_ns()).encode() + b"\r\n\r\n")
            answer = b""
            while not answer.endswith(b"ok\n"):
                received = connection.recv(65536)
                if not received:
                    raise Failure("the upstream closed the connection")
                answer += received
    return count


def measure(listening: Listening, keys: List[str], placement: Placement, rate: float, seconds: float) -> List[Sample]:
    """Each watcher in turn; with nobody the client asks the target itself, which shows what the measuring costs."""
    listening.on(placement)
    samples = []
    for key in keys:
        with StampedTarget() as target:
            kind, upstream = WATCHERS[key], listening.upstream.port
            with kind(listening.place, upstream, target.port, placement.watcher) as watcher:
                # A connection to the target, and all else that the first copy costs, is there before it counts.
                send(upstream if watcher.daemon else target.port, rate, WARM_UP)
                wait_for(target, round(WARM_UP * rate))
                target.lags_ns.clear()
                before, began = listening.disturbance(watcher)[0], time.monotonic()
                sent = send(upstream if watcher.daemon else target.port, rate, seconds)
                others = (listening.disturbance(watcher)[0] - before) / (time.monotonic() - began)
                wait_for(target, sent)
                told = watcher.end()
            facts = {"watcher": key, "sent": sent, "cpu_others": others, "faults": told["faults"]}
            samples.append({**facts, **distribution(target.lags_ns)})
        say(f"lag at {rate:.0f}/s, {kind.title}: median {number(samples[-1]['median_us'], 0)} us")
    return samples


def wait_for(target: StampedTarget, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(target.lags_ns) < count and time.monotonic() < deadline:
        time.sleep(0.05)


def distribution(lags_ns: List[int]) -> Dict[str, Optional[float]]:
    lags = sorted(lags_ns)
    if not lags:
        return {"arrived": 0, "median_us": None, "p99_us": None, "max_us": None}
    return {
        "arrived": len(lags),
        "median_us": statistics.median(lags) / 1e3,
        "p99_us": lags[int((len(lags) - 1) * 0.99)] / 1e3,
        "max_us": lags[-1] / 1e3,
    }
