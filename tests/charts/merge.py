"""A strategic merge, as `kubectl patch --type strategic` and kustomize do it, of what the sidecar's patches use."""

import copy

# Lists of maps that are merged by a key (patchMergeKey in Kubernetes' API); all others are replaced.
KEYS = {"initContainers": "name", "containers": "name", "volumes": "name", "env": "name", "ports": "containerPort", "volumeMounts": "mountPath"}


def merged(original, patch, name=""):
    if isinstance(patch, dict) and isinstance(original, dict):
        out = copy.deepcopy(original)
        for key, value in patch.items():
            if value is None:
                out.pop(key, None)
            else:
                out[key] = merged(out.get(key), value, key)
        return out
    if isinstance(patch, list) and name in KEYS:
        return merged_lists(original or [], patch, KEYS[name])
    if isinstance(patch, dict):
        return merged({}, patch, name)
    return copy.deepcopy(patch)


def merged_lists(original, patch, key):
    out = copy.deepcopy(original)
    for item in patch:
        at = next((i for i, there in enumerate(out) if there[key] == item[key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del out[at]
        elif at is None:
            out.append(merged({}, item))
        else:
            out[at] = merged(out[at], item)
    return out


def without_empty(value):
    """The same without maps and lists that nothing is in: a patch that takes all out leaves them."""
    if isinstance(value, dict):
        return {key: below for key, below in ((key, without_empty(below)) for key, below in value.items()) if below not in ({}, [])}
    if isinstance(value, list):
        return [without_empty(below) for below in value]
    return value
