"""The application (upstream) and the target, what they are asked for, and where their files are."""

from __future__ import annotations

import grp
import json
import os
import pwd
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional

from daemon import Daemon, free_port
from machine import BACKEND_CPU
from tools import HERE, Tools


@dataclass(frozen=True)
class Workload:
    key: str
    title: str
    path: str
    body: int


WORKLOADS = [
    Workload("tiny", "tiny GET", "/tiny", 0),
    Workload("get16k", "16 KB GET", "/16k", 0),
    Workload("post16k", "16 KB POST", "/upload", 16384),
]


def json_records(size: int) -> bytes:
    """Data as applications send it, the same in every run; zstd makes a fourth of it."""
    chance = random.Random(1)
    records = (
        {
            "id": chance.getrandbits(32),
            "name": f"item {chance.randrange(1000)}",
            "price": chance.randrange(100000) / 100,
        }
        for _ in range(size // 40)
    )
    return json.dumps(list(records)).encode()[:size]


BODIES: Dict[str, Callable[[int], bytes]] = {"x": lambda size: b"x" * size, "json": json_records}


class Place:
    """The directory that holds what the servers need, and the programs that they are."""

    def __init__(
        self, directory: Path, tools: Tools, mirror: Optional[str], gor: Optional[str] = None, bodies: str = "x"
    ):
        self.directory = directory
        self.tools = tools
        self.mirror = mirror
        self.gor = gor
        self.long_body = directory / "16k"
        self.long_body.write_bytes(BODIES[bodies](16384))

    def nginx(self, template: str, name: str, **values: object) -> List[str]:
        config = self.fill(template, name, **values)
        return [self.tools.nginx, "-p", str(self.directory), "-e", "stderr", "-c", str(config)]

    def fill(self, template: str, name: str, **values: object) -> Path:
        user = f"{pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
        values.update(name=name, dir=self.directory, user=user, modules=self.tools.nginx_modules)
        config = self.directory / f"{name}.conf"
        text = (HERE / template).read_text()
        config.write_text(re.sub(r"@\{(\w+)\}", lambda found: str(values[found[1]]), text))
        return config


class Backend:
    """An nginx as upstream or target, with the count of the whole requests that it took."""

    def __init__(self, place: Place, name: str, only_idle: bool = False, empty_answers: bool = False):
        self.port = free_port()
        self.arrived: Counter = Counter()  # by (status, request length)
        short, long = ("204", "return 204") if empty_answers else ('200 "ok\\n"', f"alias {place.long_body}")
        argv = place.nginx("nginx-backend.conf.tmpl", name, port=self.port, short_answer=short, long_answer=long)
        self.daemon = Daemon(name, argv, place.directory, {BACKEND_CPU}, only_idle)
        self.log_path = place.directory / f"{name}.log"

    def __enter__(self) -> "Backend":
        try:
            self.daemon.wait_ready(self.port, "/tiny")
            self.log = open(self.log_path, "rb")
        except BaseException:
            self.daemon.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()
        self.log.close()

    def count(self, workload: Workload) -> int:
        """How many requests were answered with success and came with not a byte of the body short."""
        self.daemon.check_alive()
        read = self.log.read()
        self.log.seek(read.rfind(b"\n") + 1 - len(read), os.SEEK_CUR)  # an unfinished line is for the next time
        for line, times in Counter(read[: read.rfind(b"\n") + 1].splitlines()).items():
            status, length = line.split()
            self.arrived[int(status), int(length)] += times
        return sum(
            times for (status, length), times in self.arrived.items() if status // 100 == 2 and length > workload.body
        )
