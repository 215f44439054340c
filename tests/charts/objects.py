"""What is wrong with rendered objects: by Kubernetes' schemas, and where these say nothing."""

import functools
import json

import jsonschema
import kubernetes_validate.utils as schemas
import referencing

# The operator's own kinds, for which there is no schema.
CUSTOM = "monitoring.coreos.com/"
OLDEST = (1, 29)


def versions():
    """From the oldest that the chart is for, to the newest whose schemas are there."""
    return [text for text in map(schemas.major_minor, schemas.all_versions()) if tuple(map(int, text.split("."))) >= OLDEST]


@functools.cache
def definitions(version):
    return referencing.Resource.from_contents(schemas.schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json", version))


@functools.cache
def validator(version, kind, api_version):
    # As kubernetes_validate.validate does it, which reads its files again for each object.
    group, _, number = api_version.rpartition("/")
    name = f"{kind.lower()}-{group.split('.')[0]}{'-' if group else ''}{number}"
    schema = schemas.schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/{name}.json", version)
    resource = referencing.Resource.from_contents(schema)
    registry = definitions(version) @ (resource @ referencing.Registry())
    return jsonschema.validators.Draft202012Validator(schema, registry=registry)


def invalid(document, version):
    """What the schemas of a version have against an object. Fields that they do not know are faults."""
    if document["apiVersion"].startswith(CUSTOM):
        return []
    return list(_invalid(json.dumps(document, sort_keys=True), version))


@functools.cache
def _invalid(text, version):
    document = json.loads(text)
    errors = validator(version, document["kind"], document["apiVersion"]).iter_errors(document)
    return tuple(f"{title(document)} in {version}: {error.json_path}: {error.message[:200]}" for error in errors)


def title(document):
    return f"{document['kind']} {document['metadata']['name']}"


def pods(documents):
    """The metadata and spec of all pods that the objects are or make."""
    for document in documents:
        if document["kind"] == "Pod":
            yield document["metadata"], document["spec"]
        elif "template" in document.get("spec", {}):
            yield document["spec"]["template"]["metadata"], document["spec"]["template"]["spec"]


def workloads(documents):
    """What makes pods, the sidecar's patch among it."""
    return [document.get("spec", document.get("data")) for document in documents
            if "template" in document.get("spec", {}) or "patch.yaml" in document.get("data", {})]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def within(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def unrelated(documents):
    """What does not fit together: selectors, ports, volumes, names."""
    wrong = []
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    wrong += [f"{kind} {name} is there twice" for kind, name in set(names) if names.count((kind, name)) > 1]
    for document in documents:
        metadata, spec = document["metadata"], document.get("spec", {})
        wrong += [f"{name} is longer than 63" for name in [metadata["name"], *metadata["labels"].values()] if len(name) > 63]
        wrong += [f"{title(document)} has no {label}" for label in ("name", "instance", "version", "managed-by", "component")
                  if not metadata["labels"].get(f"app.kubernetes.io/{label}")]
        if "template" in spec and not within(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]):
            wrong.append(f"{title(document)} does not select its own pods")
        if document["kind"] == "Service":
            chosen = [pod for pod in pods(documents) if within(spec["selector"], pod[0]["labels"])]
            ports = {port[key] for _, pod in chosen for container in containers(pod) for port in container.get("ports", []) for key in ("name", "containerPort")}
            wrong += [f"{title(document)}: no pod has port {port['targetPort']}" for port in spec["ports"]
                      if chosen and port["targetPort"] not in ports]
            if any("helm.sh/hook" in pod[0].get("annotations", {}) for pod in chosen):
                wrong.append(f"{title(document)} sends requests to the pod of the test")
    made = {name for kind, name in names if kind == "ConfigMap"}
    for metadata, spec in pods(documents):
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        mounts = [mount["name"] for container in containers(spec) for mount in container.get("volumeMounts", [])]
        wrong += [f"{metadata.get('name')}: no volume {name}" for name in mounts if name not in volumes]
        wrong += [f"{metadata.get('name')}: nothing mounts {name}" for name in volumes if name not in mounts]
        wrong += [f"no ConfigMap {volume['configMap']['name']}" for volume in volumes.values()
                  if "configMap" in volume and volume["configMap"]["name"] not in made]
    return wrong


def beyond_restricted(spec):
    """What Pod Security `restricted` has against a pod (kubernetes.io/docs/concepts/security/pod-security-standards)."""
    wrong = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    wrong += [f"volume {volume['name']}" for volume in spec.get("volumes", []) if "hostPath" in volume]
    for container in containers(spec):
        name, security = container["name"], container.get("securityContext", {})
        capabilities = security.get("capabilities", {})
        if security.get("allowPrivilegeEscalation") is not False:
            wrong.append(f"{name}: allowPrivilegeEscalation")
        if security.get("runAsNonRoot") is not True or security.get("runAsUser") == 0:
            wrong.append(f"{name}: runs as root")
        if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            wrong.append(f"{name}: capabilities {capabilities}")
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            wrong.append(f"{name}: seccomp")
    return wrong


def careless(spec):
    """What the chart asks of each of its containers, whatever Pod Security asks."""
    wrong = []
    for container in containers(spec):
        name, security, resources = container["name"], container["securityContext"], container.get("resources", {})
        if security.get("readOnlyRootFilesystem") is not True:
            wrong.append(f"{name}: the root is writable")
        if security["capabilities"]["drop"] != ["ALL"] or security["allowPrivilegeEscalation"]:
            wrong.append(f"{name}: {security}")
        if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
            wrong.append(f"{name}: {resources}")
    if spec.get("automountServiceAccountToken") is not False:
        wrong.append("a token is mounted")
    return wrong
