"""A server process: started on the CPUs it may use, asked what it used, and always stopped."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Iterable, List

from tools import Failure

START_LIMIT = 15  # seconds until the first answer
STOP_LIMIT = 10  # seconds from SIGTERM to SIGKILL
CAPTURE_SETUP = 0.2  # seconds from a packet socket to its filter and ring
PR_SET_PDEATHSIG = 1  # see prctl(2); Python has no name for it
LIBC = ctypes.CDLL(None)
TICKS = os.sysconf("SC_CLK_TCK")


class Daemon:
    def __init__(self, name: str, argv: List[str], directory: Path, cpus: Iterable[int], only_idle: bool = False):
        """`only_idle`: give it the CPUs' idle time only (SCHED_IDLE)."""

        def settle_in() -> None:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # should the bench itself be killed
            os.sched_setaffinity(0, cpus)
            if only_idle:
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

        self.name = name
        self.output = directory / f"{name}.out"
        with open(self.output, "wb") as output:
            # A session of its own: Ctrl-C reaches the bench alone, which then stops everything in order.
            self.process = subprocess.Popen(
                argv,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=settle_in,
            )

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_ready(self, port: int, path: str) -> None:
        """Until it answers a GET with 200 or 204."""
        deadline = time.monotonic() + START_LIMIT
        last = "no connection"
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                last = get_status_line(port, path)
                if last.split(" ")[1:2] in (["200"], ["204"]):
                    return
            except OSError as error:
                last = str(error)
            time.sleep(0.05)
        raise Failure(f"{self.name} did not become ready in {START_LIMIT} s (last: {last})\n{self.last_output()}")

    def check_alive(self) -> None:
        if self.process.poll() is not None:
            raise Failure(f"{self.name} ended with exit code {self.process.returncode}\n{self.last_output()}")

    def last_output(self) -> str:
        lines = self.output.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(f"  | {line}" for line in lines) or "  (it printed nothing)"

    def wait_capturing(self) -> None:
        """Until it has a packet socket: what there is to ask of a program that answers nothing."""
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            self.check_alive()
            lines = Path("/proc/net/packet").read_text().splitlines()[1:]
            sockets = {f"socket:[{line.split()[8]}]" for line in lines}
            if sockets & {target for pid in self.pids() for target in descriptors(pid)}:
                time.sleep(CAPTURE_SETUP)
                return
            time.sleep(0.05)
        raise Failure(f"{self.name} did not capture within {START_LIMIT} s\n{self.last_output()}")

    def run_on(self, cpus: Iterable[int]) -> None:
        for pid in self.pids():
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cpus)

    def cpu_seconds(self) -> float:
        """User and system time of all its processes and threads so far."""
        return sum(cpu_seconds(pid) for pid in self.pids())

    def peak_rss_mb(self) -> float:
        """Of its largest process: nginx's master and worker share most pages, a sum would count them twice."""
        return self.memory_mb("VmHWM")

    def memory_mb(self, what: str) -> float:
        """A line of /proc/PID/status, of its largest process."""
        return max(memory_kb(pid, what) for pid in self.pids()) / 1024

    def pids(self) -> List[int]:
        found = [self.process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found.extend(int(child) for child in children.read_text().split())
        return found

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # what is left of its session
        except ProcessLookupError:
            pass
        self.process.wait()


def cpu_seconds(pid: int) -> float:
    """Of all its threads, those that have ended too, and of its children that have."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        # To the nanosecond, by the process's own clock (clock_getcpuclockid(3)): a tick of /proc is 10 ms, and tcpdump uses less.
        own = time.clock_gettime((~pid << 3) | 2)
    except OSError:  # ended meanwhile
        return 0
    # The name, in brackets, may hold spaces. After it: state is field 0, dead children's user and system time are 13 and 14.
    fields = stat[stat.rindex(")") + 2 :].split()
    return own + sum(int(field) for field in fields[13:15]) / TICKS


def memory_kb(pid: int, what: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{what}:")), 0)


def descriptors(pid: int) -> List[str]:
    """What its open files are."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(link))
        except FileNotFoundError:  # closed meanwhile
            pass
    return found


def get_status_line(port: int, path: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while True:
            received = connection.recv(65536)
            answer += received
            if not received:
                return answer.split(b"\r\n")[0].decode("latin-1") or "an empty answer"


def free_port() -> int:
    with closed_port() as reserved:
        return reserved.getsockname()[1]


def closed_port() -> socket.socket:
    """A port that is taken and refuses connections for as long as the socket is kept."""
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    return reserved
