"""What pods run beside mirror itself, run here: the test of `helm test`, and what waits before a pod of 1.29 ends."""

import contextlib
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading

import yaml


class Application(http.server.BaseHTTPRequestHandler):
    """Answers every request."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def application():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def started(mirror, config):
    """A mirror with these settings; the addresses of its proxy and of its admin endpoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "mirror.yaml")
        path.write_text(yaml.safe_dump(config | {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "log": {"format": "json"}}))
        process = subprocess.Popen([mirror, "run", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            proxy = endpoint = None
            while not (proxy and endpoint):
                told = json.loads(process.stderr.readline())
                proxy = told["address"] if told["message"] == "listening" else proxy
                endpoint = told["address"] if told["message"] == "admin endpoint" else endpoint
            yield proxy, endpoint
        finally:
            process.terminate()
            process.communicate()


def test_pod(documents, mirror, proxy, endpoint):
    """Runs the test's containers that ask for something; the exit code of each."""
    pod = next(document for document in documents if document["kind"] == "Pod")
    recordings = next(document["data"] for document in documents if "ready.jsonl" in document.get("data", {}))
    codes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in recordings.items():
            pathlib.Path(folder, name).write_text(text)
        for container in pod["spec"]["containers"]:
            arguments = [argument.replace("/test/", f"{folder}/") for argument in container["args"]]
            if arguments[0] == "replay":
                to = endpoint if container["name"] == "ready" else proxy
                arguments = [f"--shadow=http://{to}" if argument.startswith("--shadow=") else argument for argument in arguments]
                done = subprocess.run([mirror, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                codes[container["name"]] = done.returncode
    return codes


def wrong(config, documents, old, mirror):
    """What is not as it should be: the test passes with an application and fails without one; the pod of 1.29 waits."""
    config = config | {"shadow": "127.0.0.1:9"}
    with application() as port, started(mirror, config | {"upstream": f"127.0.0.1:{port}"}) as addresses:
        if (codes := test_pod(documents, mirror, *addresses)) != {"ready": 0, "request": 0}:
            yield f"with an application the test ends with {codes}"
    with started(mirror, config | {"upstream": "127.0.0.1:9"}) as addresses:
        if (codes := test_pod(documents, mirror, *addresses)) != {"ready": 0, "request": 1}:
            yield f"without an application the test ends with {codes}"
    program, *arguments = old["exec"]["command"]
    arguments = ["--exit-after=10ms" if argument.startswith("--exit-after=") else argument for argument in arguments]
    done = subprocess.run([mirror, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if program != "/usr/bin/mirror" or done.returncode:
        yield f"{program} {arguments} ends with {done.returncode}: {done.stdout}"
