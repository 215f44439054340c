"""A pod's network without a pod: a namespace in which the init container's arguments and mirror.yaml are as they are rendered, and both run with the
user and the capabilities that the pod gives them. Another namespace has the client and the shadow target."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

CLIENT, POD = "10.78.0.1", "10.78.0.2"
# Says whom it is asked by, and tells what it is asked for.
APPLICATION = """
import http.server, sys
class Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, flush=True)
        said = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Application).serve_forever()
"""


class Network:
    """Two namespaces and what runs in them."""

    def __init__(self, folder):
        self.folder, self.running = pathlib.Path(folder), []
        self.client, self.pod = (f"mirror-chart-{os.getpid()}-{end}" for end in ("client", "pod"))

    def set_up(self):
        pairs = [(self.client, "vc", CLIENT), (self.pod, "vp", POD)]
        for namespace, _, _ in pairs:
            run(["ip", "netns", "add", namespace])
        run(["ip", "link", "add", "vc", "netns", self.client, "type", "veth", "peer", "name", "vp", "netns", self.pod])
        for namespace, device, address in pairs:
            run(["ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", device])
            for up in ("lo", device):
                run(["ip", "-n", namespace, "link", "set", up, "up"])

    def take_down(self):
        for process in self.running:
            process.kill()
            process.wait()
        for namespace in (self.client, self.pod):
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)

    def start(self, namespace, name, command):
        """Runs it; what it says on stdout is kept under its name."""
        with open(self.folder / name, "w") as said:
            process = subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdout=said, stderr=subprocess.STDOUT)
        self.running.append(process)
        return process

    def said(self, name):
        return (self.folder / name).read_text()

    def ask(self, namespace, url, uid=0):
        """The answer's body, when there is one: what was just started is waited for."""
        fetch = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode(), end='')"
        deadline = time.monotonic() + 10
        while True:
            done = subprocess.run(
                ["ip", "netns", "exec", namespace, "setpriv", f"--reuid={uid}", "--clear-groups", sys.executable, "-c", fetch],
                capture_output=True, text=True)
            if done.returncode == 0 or time.monotonic() > deadline:
                return done.stdout if done.returncode == 0 else done.stderr
            time.sleep(0.05)


def run(command):
    subprocess.run(command, check=True, capture_output=True)


def as_in(container):
    """Runs what follows as the container's user, with its capabilities and no way to others."""
    security = container["securityContext"]
    kept = "".join(f",+{name.lower()}" for name in security["capabilities"].get("add", []))
    return ["setpriv", f"--reuid={security['runAsUser']}", f"--regid={security['runAsGroup']}", "--clear-groups",
            "--inh-caps=-all", f"--bounding-set=-all{kept}", "--no-new-privs"]


@contextlib.contextmanager
def network():
    """None, and why, where this user may not make namespaces or there is no nft."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        made = Network(folder)
        try:
            made.set_up()
            run(["ip", "netns", "exec", made.pod, "nft", "list", "tables"])
        except (OSError, subprocess.CalledProcessError) as error:
            made.take_down()
            yield None, str(error)
            return
        try:
            yield made, None
        finally:
            made.take_down()


def wrong(net, containers, settings, mirror):
    """What is not as it should be in a pod with these init containers and this mirror.yaml; its target is `/next`."""
    init, sidecar = containers
    egress = "--egress" in init["args"]
    for name, command in (("app", ["8080"]), ("next", ["9000"])):
        net.start({"app": net.pod, "next": net.client}[name], name, [sys.executable, "-c", APPLICATION, *command])
    done = subprocess.run(["ip", "netns", "exec", net.pod, *as_in(init), mirror, *init["args"]], capture_output=True, text=True)
    if done.returncode:
        yield f"the init container ends with {done.returncode}: {done.stderr}"
        return
    path = net.folder / "mirror.yaml"
    path.write_text(settings.replace("/recordings/", f"{net.folder}/"))
    process = net.start(net.pod, "mirror", [*as_in(sidecar), mirror, "run", str(path), "--watch"])
    if (said := net.ask(net.client, f"http://{POD}:9900/readyz")) != "ready\n":
        yield f"it is not ready: {said}{net.said('mirror')}"
        return
    keeps = "--mode=tproxy" in init["args"]
    if (peer := net.ask(net.client, f"http://{POD}:8080/in")) != (CLIENT if keeps else POD):
        yield f"the application is asked by {peer}: {net.said('mirror')}"
    if egress and (said := net.ask(net.pod, f"http://{CLIENT}:9000/out", uid=3000)) != POD:
        yield f"a call of the application is answered {said}: {net.said('mirror')}"
    process.terminate()
    if (code := process.wait(30)) != 0:
        yield f"it ends with {code}: {net.said('mirror')}"
    for name, expected in (("app", ["/in"]), ("next", sorted(["/in", *["/out"] * egress]))):
        if (asked := sorted(net.said(name).split())) != expected:
            yield f"{name} is asked for {asked}, not {expected}"
    for recording in net.folder.glob("*.avro"):
        listed = subprocess.run([mirror, "inspect", str(recording)], capture_output=True, text=True).stdout
        if listed.count("\n") != 1 + egress or "/in" not in listed or ("/out" in listed) != egress:
            yield f"the recording has {listed}"
