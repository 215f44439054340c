"""The proxies that are compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import List

from backend import Place
from daemon import Daemon, free_port
from machine import PEER_CPU


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
    Peer("mirror-stages", "mirror", "mirror --shadow, five stages", True),
]

# All of them look at each exchange, and let it pass.
STAGES = [
    {"filter": {"deny": {"path": ["/healthz", "~^/internal/"]}}},
    {"filter": "method in GET POST or header.content-type = application/json"},
    {"fraction": {"of": "100%", "by": "header.host"}},
    {"rate": {"requests": "1000000000/s", "by": "header.host"}},
    {"rewrite": {"header": {"remove": ["Authorization", "X-Internal-*"], "set": {"X-From": "{client}"}}}},
]


class RunningPeer:
    def __init__(self, peer: Peer, place: Place, upstream: int, target: int):
        self.port = free_port()
        argv = command(peer, place, self.port, upstream, target)
        self.daemon = Daemon(peer.key, argv, place.directory, {PEER_CPU})

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
    if peer.key == "mirror-stages":
        argv += [f"--set=pipeline={json.dumps(STAGES)}"]
    return argv + ["--proxy-threads", "1", "--admin", "off"]
