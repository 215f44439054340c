"""The servers of the bench: the peers that are compared, and the upstream and target that all of them use."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from daemon import Daemon, free_port
from tools import HERE, Tools

BACKEND_CPU = 0  # load generator, upstream and target
PEER_CPU = 1  # the peer has it to itself


@dataclass(frozen=True)
class Peer:
    key: str  # as in --only
    family: str
    title: str
    shadows: bool


PEERS = [
    Peer("nginx-plain", "nginx", "nginx", False),
    Peer("envoy-plain", "envoy", "Envoy", False),
    Peer("mirror-plain", "mirror", "mirror", False),
    Peer("nginx-mirror", "nginx", "nginx `mirror`", True),
    Peer("envoy-mirror", "envoy", "Envoy mirroring", True),
    Peer("mirror-shadow", "mirror", "mirror --shadow", True),
]


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


class Place:
    """The directory that holds what the servers need, and the programs that they are."""

    def __init__(self, directory: Path, tools: Tools, mirror: Optional[str]):
        self.directory = directory
        self.tools = tools
        self.mirror = mirror
        (directory / "16k").write_bytes(b"x" * 16384)

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
        short, long = ("204", "return 204") if empty_answers else ('200 "ok\\n"', f"alias {place.directory}/16k")
        argv = place.nginx("nginx-backend.conf.tmpl", name, port=self.port, short_answer=short, long_answer=long)
        self.daemon = Daemon(name, argv, place.directory, BACKEND_CPU, only_idle)
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


class RunningPeer:
    def __init__(self, peer: Peer, place: Place, upstream: int, target: int):
        self.port = free_port()
        argv = command(peer, place, self.port, upstream, target)
        self.daemon = Daemon(peer.key, argv, place.directory, PEER_CPU)

    def __enter__(self) -> "RunningPeer":
        try:
            self.daemon.wait_ready(self.port, "/tiny")
        except BaseException:
            self.daemon.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()


def command(peer: Peer, place: Place, port: int, upstream: int, target: int) -> List[str]:
    """One worker thread each."""
    kind = "mirror" if peer.shadows else "plain"
    if peer.family == "nginx":
        return place.nginx(f"nginx-{kind}.conf.tmpl", peer.key, port=port, upstream=upstream, target=target)
    if peer.family == "envoy":
        config = place.fill(f"envoy-{kind}.yaml.tmpl", peer.key, port=port, upstream=upstream, target=target)
        config = config.rename(config.with_suffix(".yaml"))  # Envoy goes by the extension
        return [
            place.tools.envoy or "envoy",
            *("-c", str(config), "--concurrency", "1"),
            *("--log-level", "error", "--disable-hot-restart"),
        ]
    argv = [place.mirror or "mirror", "--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{upstream}"]
    if peer.shadows:
        argv += ["--shadow", f"127.0.0.1:{target}"]
    return argv + ["--proxy-threads", "1", "--admin", "off"]
