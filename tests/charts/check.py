#!/usr/bin/env python3
"""All that is to be true of charts/mirror, with real Helm, Kubernetes' schemas, promtool and the built program, and no cluster.

    target/venv/bin/python tests/charts/check.py --mirror target/debug/mirror              # say what is wrong
    target/venv/bin/python tests/charts/check.py --mirror target/debug/mirror --rewrite    # and take what is rendered as good
    target/venv/bin/python tests/charts/check.py --probe                                   # whether all it needs is there
"""

import argparse
import difflib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

import yaml

HERE = pathlib.Path(__file__).parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "charts")]

import chart
import generate
import hooks
import merge
import namespace
import objects
import refusals
import telemetry

GOLDEN = HERE / "golden"


def fresh(mirror):
    """README.md and values.schema.json follow values.yaml and the program."""
    for path, text in generate.written(mirror).items():
        if not path.exists() or path.read_text() != text:
            yield f"{path.name} is stale: run `make charts`"

    of_program = tomllib.loads((chart.ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    if chart.LOADED.metadata["appVersion"] != of_program:
        yield f"Chart.yaml: appVersion is not {of_program}"

    def named(below):
        return {value.name: named(value.below) if value.below else None for value in below}

    def keys(value):
        return {key: keys(below) if below else None for key, below in value.items()} if isinstance(value, dict) and value else None

    values = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    if named(generate.read((chart.CHART / "values.yaml").read_text()).below) != keys(values):
        yield "values.yaml is read otherwise by charts/generate.py than as YAML"


def valid(case):
    """Helm lints the values strictly; for each version of Kubernetes its schemas take the objects, which fit together."""
    versions = objects.versions()
    yield from (f"lint: {error}" for error in case.lint(versions[-1]))
    for version in versions:
        documents = case.objects(version)
        for document in documents:
            yield from objects.invalid(document, version)
    yield from objects.unrelated(documents)
    yield from (f"with a long name: {wrong}" for wrong in objects.unrelated(case.objects(release="a" * 53)))
    for _, spec in objects.pods(documents):
        yield from (wrong for wrong in objects.careless(spec) if "app:" not in wrong)
    if case.values["mode"] == "gateway" or case.values.get("sidecar", {}).get("interception") == "port":
        for metadata, spec in objects.pods(documents):
            yield from (f"{metadata.get('name')} is not restricted: {wrong}" for wrong in objects.beyond_restricted(spec))


def pre_stop(case, version):
    """What a gateway's pod does before it ends."""
    deployment = next(document for document in case.objects(version) if document["kind"] == "Deployment")
    return deployment["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]


def hooked(cases, mirror):
    """A gateway's pod waits before it ends, with what its version of Kubernetes has for it; and `helm test` tells."""
    case = next(case for case in cases if case.name == "gateway")
    for version, key in (("1.29", "exec"), ("1.30", "sleep")):
        if list(pre_stop(case, version)) != [key]:
            yield f"on {version} preStop is {pre_stop(case, version)}"
    yield from hooks.wrong(yaml.safe_load(settings(case)), case.objects(), pre_stop(case, "1.29"), mirror)


def reloaded(cases):
    """A change that a reload can bring leaves the pods as they are; one that it cannot rolls them."""
    for case in (case for case in cases if case.name in ("gateway", "listener", "sidecar-redirect")):
        before = objects.workloads(case.objects())
        for change, rolls in (({"fraction": "7%"}, False), ({"log": {"level": "debug"}}, False), ({"pipeline": [{"filter": "method = GET"}]}, False),
                              ({"engine": {"threads": 3}}, True), ({"log": {"format": "human"}}, True), ({"limits": {"reassembly": {"flows": 9}}}, True)):
            changed = case.over({"config": case.values["config"] | change})
            if (objects.workloads(changed.objects()) != before) != rolls:
                yield f"{case.name}: {change} {'does not roll' if rolls else 'rolls'} the pods"


def settings(case):
    """mirror.yaml as it is rendered."""
    return next(document["data"]["mirror.yaml"] for document in case.objects() if "mirror.yaml" in document.get("data", {}))


def runs(case, mirror):
    """The program takes the settings, and in mode redirect the init container's arguments."""
    with tempfile.TemporaryDirectory() as folder:
        # The check wants folders that exist; the pod has them.
        text = settings(case).replace("/recordings/", f"{folder}/").replace("/etc/mirror-key/key", f"{folder}/key")
        pathlib.Path(folder, "key").write_text("a secret of a test")
        pathlib.Path(folder, "mirror.yaml").write_text(text)
        yield from failure([mirror, "check", f"{folder}/mirror.yaml"])
    known = subprocess.run([mirror, "--help"], stdout=subprocess.PIPE, text=True).stdout
    for patch in patches(case)[:1]:
        for container in patch["spec"]["template"]["spec"]["initContainers"]:
            verb = container["args"][:2]
            if verb == ["redirect", "install"] and "\n  redirect " in known:
                yield from failure([mirror, "redirect", "print", *container["args"][2:]])


def failure(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        yield f"{' '.join(command)}: {done.stdout}"


def patches(case):
    """The sidecar's patch and what undoes it."""
    for document in case.objects():
        if "patch.yaml" in document.get("data", {}):
            return [chart.read(document["data"][name])[0] for name in ("patch.yaml", "unpatch.yaml")]
    return []


def workload(kind, name, container):
    """An application that somebody has deployed, with a container and a volume of its own."""
    spec = {
        "selector": {"matchLabels": {"app": "app"}},
        "template": {
            "metadata": {"labels": {"app": "app"}, "annotations": {"own": "1"}},
            "spec": {
                "initContainers": [{"name": "migrate", "image": "app:1"}],
                "containers": [{
                    "name": container, "image": "app:1", "env": [{"name": "OWN", "value": "1"}],
                    "ports": [{"name": "http", "containerPort": 8080}], "volumeMounts": [{"name": "own", "mountPath": "/own"}],
                }],
                "volumes": [{"name": "own", "emptyDir": {}}],
            },
        },
    }
    spec |= {"StatefulSet": {"serviceName": "app"}}.get(kind, {})
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def patched(case):
    """The patch makes a valid workload of one, which keeps what it had, and the other patch makes that one of it again."""
    if not patches(case):
        return
    patch, unpatch = patches(case)
    container = case.values["sidecar"]["workload"].get("container", "app")
    before = workload(patch["kind"], patch["metadata"]["name"], container)
    after = merge.merged(before, patch)
    for version in objects.versions():
        yield from objects.invalid(after, version)
    spec = after["spec"]["template"]["spec"]
    names = [container["name"] for container in spec["initContainers"]]
    if names != ["migrate"] + ["mirror-redirect"] * (names != ["migrate", "mirror"]) + ["mirror"]:
        yield f"patched: init containers {names}"
    own = spec["containers"][0]
    if own["image"] != "app:1" or {"name": "OWN", "value": "1"} not in own["env"] or len(spec["containers"]) != 1:
        yield f"patched: the application is {own}"
    volumes = {volume["name"] for volume in spec["volumes"]}
    for container in objects.containers(spec):
        yield from (f"patched: no volume {mount['name']}" for mount in container.get("volumeMounts", []) if mount["name"] not in volumes)
    back = merge.merged(after, unpatch)
    # The time that the application may take is left as it was set: what it was is not known.
    back["spec"]["template"]["spec"].pop("terminationGracePeriodSeconds", None)
    if merge.without_empty(back) != merge.without_empty(before):
        yield f"unpatched: {back}"
    if shutil.which("kubectl"):
        yield from kustomized(case, before, after)


def kustomized(case, before, after):
    """Kustomize makes the same of it, but for the order of init containers and volumes: ours come first."""
    component = next(document["data"] for document in case.objects() if "patch.yaml" in document.get("data", {}))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "mirror").mkdir()
        for name in ("kustomization.yaml", "patch.yaml"):
            (folder / "mirror" / name).write_text(component[name])
        (folder / "app.yaml").write_text(yaml.safe_dump(before))
        (folder / "kustomization.yaml").write_text("resources: [app.yaml]\ncomponents: [mirror]\n")
        done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
    if done.returncode:
        yield f"kustomize: {done.stderr}"
    elif unordered(yaml.safe_load(done.stdout)) != unordered(after):
        yield f"kustomize makes another: {done.stdout}"


def unordered(value):
    if isinstance(value, dict):
        return {key: unordered(below) for key, below in value.items()}
    if isinstance(value, list):
        return sorted((unordered(below) for below in value), key=lambda below: yaml.safe_dump(below))
    return value


def redirected(cases, mirror):
    """In a network namespace the sidecar does what it is for, with the rights that its pod gives it."""
    known = subprocess.run([mirror, "--help"], stdout=subprocess.PIPE, text=True).stdout
    for case in cases:
        if case.name not in ("sidecar-redirect", "sidecar-tproxy", "kubernetes-sidecar/redirect-values.yaml"):
            continue
        with namespace.network() as (net, why):
            if not net or "\n  redirect " not in known:
                print(f"skipped: {case.name} in a network namespace: {why or 'this program has no `mirror redirect`'}")
                continue
            containers = patches(case)[0]["spec"]["template"]["spec"]["initContainers"]
            text = re.sub(r"http://[a-z]+-next:8080", f"http://{namespace.CLIENT}:9000", settings(case))
            yield from (f"{case.name}: {wrong}" for wrong in namespace.wrong(net, containers, text, mirror))


def golden(case, rewrite):
    """What is rendered is what was looked at. The notes are at its end."""
    rendered = case.render(objects.versions()[-1])
    text = ""
    for path, made in rendered.items():
        if not path.endswith("NOTES.txt"):
            # The dashboard is a file, and is not to be there twice more.
            kept = made.split("\n  mirror.json: |")[0]
            text += f"# {path.removeprefix('mirror/templates/')}\n{kept.strip()}\n---\n"
    notes = case.notes()
    text += "".join(f"# {line}".rstrip() + "\n" for line in ["NOTES.txt", *notes.strip().splitlines()])
    if len(notes) < 200:
        yield f"the notes are short: {notes}"
    path = GOLDEN / f"{case.name}.yaml"
    there = path.read_text() if path.exists() else ""
    if rewrite:
        path.write_text(text)
    elif there != text:
        lines = difflib.unified_diff(there.splitlines(), text.splitlines(), "golden", "rendered", n=1, lineterm="")
        yield "it is rendered otherwise; where that is right, run check.py --rewrite\n" + "\n".join(list(lines)[:60])


def refused():
    """Wrong values are refused, with a message that says what is wrong."""
    for values in refusals.TAKEN:
        if said := chart.refusal(values):
            yield f"{values} is refused: {said}"
    for values, expected in refusals.REFUSED:
        said = chart.refusal(values)
        if said is None or expected not in said:
            yield f"{values}: expected {expected!r}, not {said}"


def observed(cases, mirror):
    """Alerts fire when they should, and rules and dashboards name what a mirror has."""
    there, with_capture = telemetry.running(mirror)
    for case in cases:
        documents = case.objects()
        for rule in telemetry.rules(documents):
            if rule["alert"].startswith("Mirror"):
                legend = "".join(rule["annotations"].values())
                yield from (f"{case.name}: {rule['alert']}: {wrong}" for wrong in telemetry.unknown(rule["expr"], legend, there, with_capture))
        for title, expression, legend in telemetry.dashboard(documents):
            yield from (f"{case.name}: {title}: {wrong}" for wrong in telemetry.unknown(expression, legend, there, with_capture))
    spec = next(document["spec"] for case in cases if case.name == "listener-metrics" for document in case.objects()
                if document["kind"] == "PrometheusRule")
    yield from telemetry.promtool(spec)
    yield from telemetry.untested(spec)


def exemplary(case):
    """The example's mirror.yaml is what the chart makes of its values."""
    beside = case.path.parent / "mirror.yaml"
    # Its recording is in the folder that it is started in.
    if case.path.name == "values.yaml" and yaml.safe_load(beside.read_text()) != yaml.safe_load(settings(case).replace("/recordings/", "")):
        yield f"{beside} is not what is rendered:\n{settings(case)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirror", help="the built program")
    parser.add_argument("--rewrite", action="store_true", help="write the golden files")
    parser.add_argument("--probe", action="store_true", help="say whether all that is needed can be imported and run")
    arguments = parser.parse_args()
    if arguments.probe:
        return 0 if shutil.which("promtool") else "there is no promtool"
    mirror = str(pathlib.Path(arguments.mirror).resolve())
    cases = chart.cases()
    wrong = [("generated", text) for text in fresh(mirror)]
    for case in [*cases, *chart.examples()]:
        checks = [valid(case), runs(case, mirror), patched(case)]
        checks.append(golden(case, arguments.rewrite) if case in cases else exemplary(case))
        wrong += [(case.name, text) for check in checks for text in check]
    wrong += [("refused", text) for text in refused()]
    wrong += [("reload", text) for text in reloaded(cases)]
    wrong += [("redirected", text) for text in redirected([*cases, *chart.examples()], mirror)]
    wrong += [("hooks", text) for text in hooked(cases, mirror)]
    wrong += [("telemetry", text) for text in observed(cases, mirror)]
    for where, text in wrong:
        print(f"{where}: {text}")
    print(f"{len(cases)} values, {len(chart.examples())} examples, Kubernetes {objects.versions()[0]} to {objects.versions()[-1]}, "
          f"{len(refusals.REFUSED)} refusals, {'kustomize' if shutil.which('kubectl') else 'no kubectl for kustomize'}: {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
