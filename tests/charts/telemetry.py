"""Rules and dashboards: promtool's opinion, and whether the metrics and labels that they name are there."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

import yaml

from chart import ROOT

HERE = pathlib.Path(__file__).parent
# Prometheus' own, and the labels that it gives to what it scrapes.
OF_PROMETHEUS = {"up": set()}
OF_TARGETS = {"namespace", "job", "pod", "le"}


def running(mirror):
    """The families of a mirror that runs with all that has metrics, each with its labels."""
    with tempfile.TemporaryDirectory() as folder:
        for capture in ("lo:10", None):
            config = {
                "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "shadow": "127.0.0.1:9", "record": f"{folder}/traffic.avro",
                "pipeline": [{"middleware": "cat"}], "log": {"format": "json"}, "admin": "127.0.0.1:0",
            } | ({"capture": capture} if capture else {})
            pathlib.Path(folder, "mirror.yaml").write_text(yaml.safe_dump(config))
            process = subprocess.Popen([mirror, "run", f"{folder}/mirror.yaml"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                address = next((found for found in map(admin, process.stderr) if found), None)
                deadline = time.monotonic() + 10
                while address and time.monotonic() < deadline:
                    there = families(urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode())
                    # The endpoint is up before all that has metrics is.
                    if {"mirror_middleware_running", "mirror_proxy_connections", *["mirror_capture_up"][:bool(capture)]} <= there.keys():
                        return there, bool(capture)
                    time.sleep(0.05)
            finally:
                process.terminate()
                process.communicate()
        raise SystemExit("mirror did not start")


def admin(line):
    """The admin endpoint's address, where a line of the log tells it."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told.get("address") if "admin" in told.get("message", "") else None


def families(text):
    found = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            found[line.split()[2]] = set()
        elif line and not line.startswith("#"):
            name = re.match(r"[a-z_]+", line)[0]
            name = name if name in found else re.sub(r"_(bucket|sum|count)$", "", name)
            found[name] |= set(re.findall(r'([a-z_]+)="', line))
    return found


def in_sources():
    """Names that the sources have."""
    texts = (path.read_text() for folder in ("mirror/src", "mirror/cli/src", "proxy/src", "capture/src") for path in (ROOT / folder).rglob("*.rs"))
    return {name for text in texts for name in re.findall(r'"((?:mirror|http)_[a-z_]+)"', text)}


def unknown(expression, legend, there, with_capture):
    """What an expression names that no mirror has."""
    bare = re.sub(r'"[^"]*"', "", expression)
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\b(?:mirror|http)_[a-z_]+\b(?=\s*[{)])|\bup\b(?=\{)", bare)}
    names = {name for name in names if not name.endswith("_class")}
    wrong, labels = [], set(OF_TARGETS)
    for name in names:
        if name.startswith("mirror_capture") and not with_capture:
            return [] if name in in_sources() else [f"there is no {name}"]
        if name not in there and name not in OF_PROMETHEUS:
            wrong.append(f"there is no {name}")
        labels |= there.get(name, set())
    asked = {label.strip() for group in re.findall(r"by \(([^)]*)\)", bare) for label in group.split(",")}
    asked |= set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)(?!=)", bare)) | set(re.findall(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}", legend))
    if not names:
        wrong.append("it names no metric")
    return wrong + [f"no {label} of {', '.join(sorted(names))}" for label in sorted(asked - labels)]


def rules(documents):
    """The rules of an object of the operator."""
    return [rule for document in documents if document["kind"] == "PrometheusRule" for group in document["spec"]["groups"] for rule in group["rules"]]


def dashboard(documents):
    """The dashboard's expressions and legends, by its panels' titles."""
    for document in documents:
        if document["metadata"]["name"].endswith("-dashboard"):
            board = json.loads(document["data"]["mirror.json"])
            yield from ((panel["title"], target["expr"], target["legendFormat"]) for panel in board["panels"] for target in panel.get("targets", []))


def promtool(spec):
    """What promtool has against the rules, and their unit tests against what they do."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "rules.yaml").write_text(yaml.safe_dump(spec))
        shutil.copy(HERE / "alerts_test.yaml", folder)
        wrong = []
        for arguments in (["check", "rules", "rules.yaml"], ["test", "rules", "alerts_test.yaml"]):
            done = subprocess.run(["promtool", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                wrong.append(f"promtool {' '.join(arguments)}:\n{done.stdout}")
        return wrong


def untested(spec):
    """Alerts that have no unit test that fires them, and none that does not."""
    tests = yaml.safe_load((HERE / "alerts_test.yaml").read_text())["tests"]
    asked = [alert for test in tests for alert in test["alert_rule_test"]]
    fired = {alert["alertname"] for alert in asked if alert.get("exp_alerts")}
    quiet = {alert["alertname"] for alert in asked if not alert.get("exp_alerts")}
    names = {rule["alert"] for group in spec["groups"] for rule in group["rules"]}
    return [f"no test {how} {name}" for how, tested in (("fires", fired), ("keeps quiet", quiet)) for name in sorted(names - tested)]


