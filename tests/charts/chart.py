"""The chart as Helm sees it: real Helm in a wheel (helm-python-sdk), with no cluster."""

import functools
import pathlib

import helm_python as helm
import yaml

import objects

ROOT = pathlib.Path(__file__).parent.parent.parent
CHART = ROOT / "charts" / "mirror"
RELEASE, NAMESPACE = "test", "shop"

# For actions that want a cluster's address and do not call it.
NOWHERE = """
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: none, user: {}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
current-context: none
"""

LOADED = helm.Chart.load(CHART)


@functools.cache
def read(text):
    """The documents of a text, to be looked at and not changed: most templates render the same again and again."""
    return [document for document in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if document]


class Case:
    """Values to be rendered, and where they are from."""

    def __init__(self, path, name, values=None):
        self.path, self.name = path, name
        self.values = values or yaml.safe_load(path.read_text())

    def over(self, values):
        """The same with other values over its own."""
        return Case(self.path, self.name, self.values | values)

    @functools.cache
    def render(self, kube_version=None, release=RELEASE):
        """The templates that are not empty, by path; for the newest version of Kubernetes unless it is said."""
        values = self.values | {"kubeVersion": f"{kube_version or objects.versions()[-1]}.0"}
        rendered = LOADED.render(values, name=release, namespace=NAMESPACE)
        return {path: text for path, text in sorted(rendered.items()) if text.strip()}

    @functools.cache
    def objects(self, kube_version=None, release=RELEASE):
        """The objects that are made, as they are read from YAML."""
        texts = [text for path, text in self.render(kube_version, release).items() if not path.endswith("NOTES.txt")]
        return [document for text in texts for document in read(text)]

    def lint(self, kube_version):
        """What `helm lint --strict` has against them."""
        return helm.lint(CHART, self.values, strict=True, namespace=NAMESPACE, kube_version=f"v{kube_version}.0")["errors"]

    def notes(self):
        """What a dry run of `helm install` says at its end."""
        with helm.Config(kubeconfig_content=NOWHERE, namespace=NAMESPACE, storage_driver="memory") as config:
            return config.install(LOADED, RELEASE, self.values, namespace=NAMESPACE, dry_run="client")["notes"]


def cases():
    """The chart's ci/*-values.yaml."""
    return [Case(path, path.name.removesuffix("-values.yaml")) for path in sorted(CHART.glob("ci/*-values.yaml"))]


def examples():
    """Values of the examples that are for Kubernetes."""
    paths = sorted(ROOT.glob("examples/kubernetes-*/*values.yaml"))
    return [Case(path, f"{path.parent.name}/{path.name}") for path in paths]


def refusal(values):
    """What Helm says to values that it does not take; None where it takes them."""
    try:
        LOADED.render(values, name=RELEASE, namespace=NAMESPACE)
    except helm.HelmError as error:
        return str(error)
    return None
