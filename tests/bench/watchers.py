"""What watches the loopback: mirror's listener, tcpdump as the limit of what can be read, GoReplay, or nobody."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Type

import records
from backend import Place
from daemon import Daemon, free_port
from metrics import Metrics, summary
from tools import Failure

RING_MB = 64  # between kernel and program, mirror's default
LIVE = ("-i", "lo", "-B", str(RING_MB << 10), "-s", "262144")  # gives tcpdump as much, and lets it take as long packets


class Watcher:
    """A process that watches the upstream's port, from its start to its end.

    What it took is known from rest to rest only: `still` is what moves as long as it has something to do, and `rest` for how many
    seconds it must not have moved.
    """

    key = "none"
    title = "nobody"
    shadows = False
    rest = 0.4  # above the time within which the backends write their logs out

    def __init__(self, place: Place, port: int, target_port: int, cpus: Iterable[int]):
        self.place, self.port, self.target_port = place, port, target_port
        self.daemon: Optional[Daemon] = None
        argv = self.command()
        if argv:
            self.daemon = Daemon(self.key, argv, place.directory, cpus)

    def command(self) -> List[str]:
        return []

    def __enter__(self) -> "Watcher":
        try:
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.daemon:
            self.daemon.stop()
        for file in self.files():
            file.unlink()

    def files(self) -> List[Path]:
        """Where it leaves what it took."""
        return []

    def wait_ready(self) -> None:
        if self.daemon:
            self.daemon.wait_capturing()

    def still(self) -> object:
        return None

    def taken(self) -> Optional[int]:
        """How many exchanges it says it has taken by now, where it does."""
        return None

    def cpu_seconds(self) -> float:
        return self.daemon.cpu_seconds() if self.daemon else 0.0

    def end(self) -> Dict[str, object]:
        """Ends it. `own` is how many exchanges it says it took, `counted` how many a count of its file found whole; `kernel_dropped`
        packets; `faults` what it gave up, in words."""
        told = {"own": None, "counted": None, "kernel_dropped": None, "faults": ""}
        if not self.daemon:
            return {**told, "peak_rss_mb": None}
        self.daemon.check_alive()
        told["peak_rss_mb"] = self.daemon.peak_rss_mb()
        told.update(self.before_end())
        self.daemon.stop()
        told.update(self.after_end(self.daemon.output.read_text(errors="replace")))
        return told

    def before_end(self) -> Dict[str, object]:
        return {}

    def after_end(self, output: str) -> Dict[str, object]:
        return {}


class Tcpdump(Watcher):
    key = "tcpdump"
    title = "tcpdump to /dev/null"
    rest = 1.5  # it lets the kernel keep a packet for a second

    def command(self) -> List[str]:
        return tcpdump(self.place, *LIVE, "-w", "/dev/null", "port", str(self.port))

    def after_end(self, output: str) -> Dict[str, object]:
        return {"kernel_dropped": dropped_by_kernel(output)}


class Mirror(Watcher):
    sink = ""
    rest = 1.2  # it asks the kernel each second what was lost

    def command(self) -> List[str]:
        self.admin = free_port()
        return [self.place.mirror or "mirror", "--capture", f"lo:{self.port}", "--admin", f"127.0.0.1:{self.admin}"]

    def wait_ready(self) -> None:
        assert self.daemon
        self.daemon.wait_ready(self.admin, "/readyz")

    def metrics(self) -> Metrics:
        assert self.daemon
        self.daemon.check_alive()
        return Metrics(self.admin)

    def still(self) -> object:
        now = self.metrics()
        return now.sum("mirror_source_exchanges_total"), now.sum("mirror_sink_in_flight")

    def taken(self) -> Optional[int]:
        return self.metrics().sum("mirror_sink_delivered_total")

    def before_end(self) -> Dict[str, object]:
        now = self.metrics()
        return {
            "bytes_lost": now.sum("mirror_capture_stream_bytes_total", 'kind="lost"'),
            "kernel_dropped": now.sum("mirror_capture_kernel_dropped_packets_total"),
            "ring_fill_pct": now.sum("mirror_capture_ring_fill_percent"),
            "budget_peak_mb": now.sum("mirror_memory_peak_bytes") / 2**20,
            "budget_limit_mb": now.sum("mirror_memory_limit_bytes") / 2**20,
        }

    def after_end(self, output: str) -> Dict[str, object]:
        (sums,) = summary(output).values()
        return {"own": sums["delivered"], "faults": sums["reasons"]}


class MirrorRecord(Mirror):
    key = "mirror-record"
    title = "mirror --record"

    def command(self) -> List[str]:
        return super().command() + ["--record", str(self.place.directory / f"{self.key}.avro")]

    def files(self) -> List[Path]:
        return sorted(self.place.directory.glob(f"{self.key}.avro"))

    def after_end(self, output: str) -> Dict[str, object]:
        counted = records.in_avro(self.place.tools.fastavro or "", self.files())
        return {**super().after_end(output), "counted": counted["whole"]}


class MirrorShadow(Mirror):
    key = "mirror-shadow"
    title = "mirror --shadow"
    shadows = True

    def command(self) -> List[str]:
        return super().command() + ["--shadow", f"http://127.0.0.1:{self.target_port}"]


class GoReplay(Watcher):
    rest = 3.5  # it holds a message for two seconds, and its file's buffer for one

    def command(self) -> List[str]:
        return [self.place.gor or "gor", "--input-raw", f"127.0.0.1:{self.port}"]


class GorFile(GoReplay):
    key = "gor-file"
    title = "GoReplay to a file"

    def command(self) -> List[str]:
        file = str(self.place.directory / f"{self.key}.gor")
        return super().command() + ["--input-raw-track-response", "--output-file", file, "--output-file-append"]

    def files(self) -> List[Path]:
        """What it makes of the name: it may put a number into it."""
        return sorted(self.place.directory.glob(f"{self.key}*.gor"))

    def still(self) -> object:
        return [file.stat().st_size for file in self.files()]

    def after_end(self, output: str) -> Dict[str, object]:
        return {"counted": records.in_gor(self.files())["whole"]}


class GorShadow(GoReplay):
    key = "gor-shadow"
    title = "GoReplay to HTTP"
    shadows = True

    def command(self) -> List[str]:
        return super().command() + ["--output-http", f"http://127.0.0.1:{self.target_port}"]


WATCHERS: Dict[str, Type[Watcher]] = {
    kind.key: kind for kind in (Watcher, Tcpdump, MirrorRecord, MirrorShadow, GorFile, GorShadow)
}


def tcpdump(place: Place, *arguments: str) -> List[str]:
    # Debian's gives up root otherwise, and then may not write where the bench's files are.
    as_root = ["-Z", "root"] if os.geteuid() == 0 else []
    return [place.tools.tcpdump or "tcpdump", *as_root, *arguments]


def dropped_by_kernel(output: str) -> int:
    found = re.search(r"(\d+) packets dropped by kernel", output)
    if not found:
        raise Failure(f"tcpdump printed no counts:\n{output[-2000:]}")
    return int(found[1])


def is_gor(key: str) -> bool:
    return issubclass(WATCHERS[key], GoReplay)
