"""How fast a saved capture is read: by mirror to a recording, by mirror to nothing, and by tcpdump, which only copies it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Dict, List

import load
import records
from backend import Workload
from daemon import Daemon, closed_port
from entry import say
from listening import EITHER, PLACEMENTS, Listening
from machine import Sample
from metrics import summary
from tools import Failure
from watchers import LIVE, Tcpdump, dropped_by_kernel, tcpdump

# Requests a second, well below what drops packets: the file has every exchange, and how many is known.
RATE = {"tiny": 15000, "get16k": 5000, "post16k": 4000}
CONNECTIONS = 32


class Capture:
    """A capture of traffic made here and now, of at least so many MB."""

    def __init__(self, listening: Listening, workload: Workload, megabytes: int):
        place, port = listening.place, listening.upstream.port
        self.place, self.port, self.workload = place, port, workload
        self.path = place.directory / f"{workload.key}.pcap"
        self.exchanges = 0
        argv = tcpdump(place, *LIVE, "-w", str(self.path), "port", str(port))
        with Daemon("tcpdump-saving", argv, place.directory, EITHER) as daemon:
            daemon.wait_capturing()
            while not self.path.exists() or self.path.stat().st_size < megabytes * 1e6:
                outcome = load.at_rate(place, port, workload, 1, CONNECTIONS, RATE[workload.key], EITHER)
                self.exchanges += outcome["requests"]
            time.sleep(Tcpdump.rest)
            daemon.stop()
            self.dropped = dropped_by_kernel(daemon.output.read_text(errors="replace"))
        self.megabytes = self.path.stat().st_size / 1e6

    def readers(self, dead_port: int) -> Dict[str, List[str]]:
        mirror = [self.place.mirror or "mirror", "--capture", f"{self.path}:{self.port}", "--admin", "off"]
        # The cheapest there is to do with what was read: nothing, since all of it is outside the fraction.
        nothing = ["--shadow", f"127.0.0.1:{dead_port}", "--fraction", "0%"]
        return {
            "tcpdump -r": tcpdump(self.place, "-r", str(self.path), "-w", "/dev/null"),
            "mirror, fraction 0%": mirror + nothing,
            "mirror --record": mirror + ["--record", str(self.recording)],
        }

    @property
    def recording(self) -> Path:
        return self.path.with_suffix(".avro")


def measure(listening: Listening, workload: Workload, megabytes: int, repeats: int) -> List[Sample]:
    listening.on(PLACEMENTS["shared"])
    capture = Capture(listening, workload, megabytes)
    say(f"saved {capture.megabytes:.0f} MB, {capture.exchanges} exchanges of {workload.title}")
    samples = []
    with closed_port() as dead:
        for turn in range(1, repeats + 1):
            for reader, argv in capture.readers(dead.getsockname()[1]).items():
                sample = read(argv, capture.megabytes)
                sample["lost"] = None
                if reader == "mirror --record":
                    counted = records.in_avro(listening.place.tools.fastavro or "", [capture.recording])
                    own = next(iter(summary(sample["output"]).values()))["delivered"]
                    sample["lost"] = capture.exchanges - min(counted["whole"], int(str(own)))
                    capture.recording.unlink()
                del sample["output"]
                samples.append({"round": turn, "workload": workload.key, "reader": reader, **sample})
                say(f"saved, {workload.title}, {turn}/{repeats}, {reader}: {sample['mb_per_s']:.0f} MB/s")
    capture.path.unlink()
    facts = {"file_mb": capture.megabytes, "exchanges": capture.exchanges, "kernel_dropped": capture.dropped}
    return [{**sample, **facts} for sample in samples]


def read(argv: List[str], megabytes: float) -> Sample:
    """Runs it to its end, from its start: wall time and CPU time of the whole process."""
    began = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - began
    if process.returncode != 0:
        raise Failure(f"{' '.join(argv)} ended with {process.returncode}\n{output[-2000:]}")
    cpu = used.ru_utime + used.ru_stime
    return {
        "seconds": took,
        "mb_per_s": megabytes / took,
        "cpu_s": cpu,
        "output": output,
    }
