"""PodSecurity: a namespace's labels say how much its pods may ask of their nodes (KEP-2579).

    pod-security.kubernetes.io/enforce: baseline     refuses pods
    pod-security.kubernetes.io/warn: restricted      warns, of pods and of what makes pods
    pod-security.kubernetes.io/audit: restricted     writes a line

Levels: privileged (anything, and what holds without a label), baseline, restricted. What is checked: policies/pods.py.
A version label is taken and means the checks of this version.
"""

from __future__ import annotations

import re
from typing import Any

from raftsman import logs
from raftsman.core import v1 as core
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.policies import pods
from raftsman.services.apiserver.validation.causes import Causes
from raftsman.services.apiserver.watchcache.selection import Selection

from .attributes import WRITES, Attributes, Operation, Plugin

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
LOOKED_AT_MAX, WARNED_OF_MAX = 3000, 10
_VERSION = re.compile(r"v1\.\d{1,4}", re.ASCII)
TEMPLATED = frozenset({
    "deployments.apps", "replicasets.apps", "daemonsets.apps", "statefulsets.apps", "jobs.batch", "cronjobs.batch",
    "replicationcontrollers", "podtemplates",
})  # fmt: skip
log = logs.get(__name__)


async def _pod(attributes: Attributes) -> None:
    """errors.Forbidden with everything that the enforced level does not allow."""
    labels = _labels(attributes)
    if not labels or not _matters(attributes):
        return
    found = _violations(attributes.new.spec, labels)
    level = labels.get("enforce", "")
    if found.get("enforce"):
        version = labels.get("enforce-version", "latest")
        why = f'violates PodSecurity "{level}:{version}": {", ".join(found["enforce"])}'
        raise failures.forbidden(attributes.call.kind.resource, attributes.name, why)
    _tell(attributes, labels, found)


def _matters(attributes: Attributes) -> bool:
    """Of an update, whether it changes what is checked."""
    if attributes.operation is Operation.CREATE:
        return True
    return bool(attributes.new.spec != attributes.old.spec)


async def _template(attributes: Attributes) -> None:
    labels = _labels(attributes)
    if labels and (labels.get("warn") or labels.get("audit")):
        spec = _spec_of(attributes.new)
        if spec is not None:
            _tell(attributes, labels, _violations(spec, labels))


async def _namespace(attributes: Attributes) -> None:
    """errors.Invalid for a level or a version that is none; warns of pods that a new level would not let in."""
    causes = Causes()
    labels = attributes.new.metadata.labels
    for mode in MODES:
        level, version = labels.get(f"{PREFIX}{mode}"), labels.get(f"{PREFIX}{mode}-version")
        if level is not None and level not in pods.LEVELS:
            path = f"metadata.labels[{PREFIX}{mode}]"
            causes.invalid(path, level, f"must be one of {', '.join(pods.LEVELS)}")
        if version is not None and version != "latest" and not _VERSION.fullmatch(version):
            path = f"metadata.labels[{PREFIX}{mode}-version]"
            causes.invalid(path, version, "must be 'latest' or 'v1.x'")
    if causes:
        raise failures.invalid(attributes.call.kind.resource, attributes.name, causes.found)
    level = labels.get(f"{PREFIX}enforce", pods.PRIVILEGED)
    if attributes.old is not None and attributes.old.metadata.labels.get(f"{PREFIX}enforce") != level:
        _warn_of_pods(attributes, level, labels.get(f"{PREFIX}enforce-version", "latest"))


def _warn_of_pods(attributes: Attributes, level: str, version: str) -> None:
    api = attributes.api
    inside = api.cache(api.kinds["pods"]).select(Selection(attributes.name))[:LOOKED_AT_MAX]
    found = {one.name: pods.violations(one.parsed().spec, level) for one in inside}
    broken = [f"{name}: {', '.join(said)}" for name, said in found.items() if said]
    if broken:
        said = f'existing pods in namespace "{attributes.name}" violate the new PodSecurity enforce level'
        attributes.call.warnings += [f'{said} "{level}:{version}"', *broken[:WARNED_OF_MAX]]


def _spec_of(obj: Any) -> core.PodSpec | None:
    """Of the pods that it makes."""
    if isinstance(obj, core.PodTemplate):
        return obj.template.spec
    spec = obj.spec.job_template.spec if "job_template" in obj.spec.DESCRIPTOR.fields_by_name else obj.spec
    found: core.PodSpec = spec.template.spec
    return found


def _labels(attributes: Attributes) -> dict[str, str]:
    """The namespace's words on it, by what stands behind the prefix."""
    api = attributes.api
    found = api.cache(api.kinds["namespaces"]).get("", attributes.namespace)
    if found is None:
        return {}
    return {key.removeprefix(PREFIX): value for key, value in found.labels.items() if key.startswith(PREFIX)}


def _violations(spec: core.PodSpec, labels: dict[str, str]) -> dict[str, list[str]]:
    """By mode. A level that nobody knows is the strictest: it was meant to bound something."""
    levels = {mode: labels[mode] for mode in MODES if labels.get(mode)}
    return {mode: pods.violations(spec, level) for mode, level in levels.items()}


def _tell(attributes: Attributes, labels: dict[str, str], found: dict[str, list[str]]) -> None:
    for mode in ("warn", "audit"):
        if not found.get(mode):
            continue
        version = labels.get(f"{mode}-version", "latest")
        said = f'would violate PodSecurity "{labels[mode]}:{version}": {", ".join(found[mode])}'
        if mode == "warn":
            attributes.call.warnings.append(said)
        else:
            log.info("a pod security audit", kind=attributes.call.kind.resource.qualified, says=said,
                     object=f"{attributes.namespace}/{attributes.name}")  # fmt: skip


PODS = Plugin(
    "PodSecurity", WRITES, kinds=frozenset({"pods"}), subresources=frozenset({"", "ephemeralcontainers"}),
    validate=_pod,
)  # fmt: skip
TEMPLATES = Plugin("PodSecurityOfTemplates", WRITES, kinds=TEMPLATED, validate=_template)
NAMESPACES = Plugin("PodSecurityOfNamespaces", WRITES, kinds=frozenset({"namespaces"}), validate=_namespace)
