"""Stateful sets, and the revisions that they and daemon sets keep."""

from __future__ import annotations

from raftsman.apps import v1 as apps
from raftsman.core import v1 as core

from . import claims, metadata, names, numbers, templates
from .causes import Causes

_TEMPLATE = "spec.template"
_POLICIES = ("OrderedReady", "Parallel")
_RETENTIONS = ("Delete", "Retain")
_STATUS = (
    "replicas", "ready_replicas", "current_replicas", "updated_replicas", "available_replicas", "observed_generation",
    "collision_count",
)  # fmt: skip
_MUTABLE = (
    "replicas", "ordinals", "template", "update_strategy", "revision_history_limit",
    "persistent_volume_claim_retention_policy", "min_ready_seconds",
)  # fmt: skip
_UPDATE = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def stateful_set(found: apps.StatefulSet, causes: Causes) -> None:
    spec = found.spec
    if spec.pod_management_policy not in _POLICIES:
        causes.invalid("spec.podManagementPolicy", spec.pod_management_policy, "must be 'OrderedReady' or 'Parallel'")
    _strategy(spec.update_strategy, causes)
    _retention(spec.persistent_volume_claim_retention_policy, causes)
    numbers.not_negative(spec, causes, path="spec", fields=("replicas", "min_ready_seconds", "revision_history_limit"))
    numbers.not_negative(spec.ordinals, causes, path="spec.ordinals", fields=("start",))
    if spec.service_name:
        for wrong in names.dns_subdomain(spec.service_name):
            causes.invalid("spec.serviceName", spec.service_name, wrong)
    _selector(spec, causes)
    _claims(spec, causes)
    templates.lasting(_with_claims(spec), causes, path=_TEMPLATE, of="StatefulSet")


def _strategy(found: apps.StatefulSetUpdateStrategy, causes: Causes) -> None:
    path = "spec.updateStrategy"
    if found.type == "OnDelete":
        if found.HasField("rolling_update"):
            causes.invalid(
                f"{path}.rollingUpdate", found.rolling_update, "only allowed for updateStrategy 'RollingUpdate'"
            )
        return
    if found.type != "RollingUpdate":
        causes.invalid(path, found, "must be 'RollingUpdate' or 'OnDelete'")
        return
    rolling, at = found.rolling_update, f"{path}.rollingUpdate"
    numbers.not_negative(rolling, causes, path=at, fields=("partition",))
    if rolling.HasField("max_unavailable"):
        unavailable = numbers.amount(rolling.max_unavailable, causes, path=f"{at}.maxUnavailable")
        if unavailable == 0:
            causes.invalid(f"{at}.maxUnavailable", 0, "cannot be 0")
        numbers.at_most_all(rolling.max_unavailable, causes, path=f"{at}.maxUnavailable")


def _retention(found: apps.StatefulSetPersistentVolumeClaimRetentionPolicy, causes: Causes) -> None:
    for word, value in (("whenScaled", found.when_scaled), ("whenDeleted", found.when_deleted)):
        at = f"spec.persistentVolumeClaimRetentionPolicy.{word}"
        if not value:
            causes.required(at)
        elif value not in _RETENTIONS:
            causes.not_supported(at, value, _RETENTIONS)


def _selector(spec: apps.StatefulSetSpec, causes: Causes) -> None:
    if not spec.HasField("selector"):
        causes.required("spec.selector")
        return
    metadata.label_selector(spec.selector, causes, path="spec.selector")
    if templates.is_empty(spec.selector):
        causes.invalid("spec.selector", spec.selector, "empty selector is invalid for statefulset")
    else:
        templates.matching(spec.selector, spec.template, causes, path=_TEMPLATE)


def _claims(spec: apps.StatefulSetSpec, causes: Causes) -> None:
    for index, claim in enumerate(spec.volume_claim_templates):
        path = f"spec.volumeClaimTemplates[{index}]"
        for wrong in names.dns_subdomain(claim.metadata.name):
            causes.invalid(f"{path}.metadata.name", claim.metadata.name, wrong)
        metadata.labels(claim.metadata.labels, causes, path=f"{path}.metadata.labels")
        metadata.annotated(claim.metadata.annotations, causes, path=f"{path}.metadata.annotations")
        claims.claim_spec(claim.spec, causes, path=f"{path}.spec")


def _with_claims(spec: apps.StatefulSetSpec) -> core.PodTemplateSpec:
    """The template with a volume for each claim that is not one of its volumes: containers may mount both."""
    if not spec.volume_claim_templates:
        return spec.template
    whole = core.PodTemplateSpec()
    whole.CopyFrom(spec.template)
    present = {volume.name for volume in whole.spec.volumes}
    for claim in spec.volume_claim_templates:
        if claim.metadata.name not in present:
            volume = whole.spec.volumes.add(name=claim.metadata.name)
            volume.volume_source.persistent_volume_claim.claim_name = claim.metadata.name
    return whole


def update(new: apps.StatefulSet, old: apps.StatefulSet, causes: Causes) -> None:
    allowed = apps.StatefulSetSpec()
    allowed.CopyFrom(new.spec)
    for field in _MUTABLE:
        allowed.ClearField(field)  # type: ignore[arg-type]
    before = apps.StatefulSetSpec()
    before.CopyFrom(old.spec)
    for field in _MUTABLE:
        before.ClearField(field)  # type: ignore[arg-type]
    if allowed != before:
        causes.change_forbidden("spec", _UPDATE)
    stateful_set(new, causes)


def status(new: apps.StatefulSet, old: apps.StatefulSet, causes: Causes) -> None:
    numbers.not_negative(new.status, causes, path="status", fields=_STATUS)
    parts = ("ready_replicas", "current_replicas", "updated_replicas", "available_replicas")
    numbers.at_most(new.status, causes, path="status", fields=parts, limit="replicas")
    numbers.at_most(new.status, causes, path="status", fields=("available_replicas",), limit="ready_replicas")
    numbers.not_decremented(new.status, old.status, causes, path="status", field="collision_count")


def revision(found: apps.ControllerRevision, causes: Causes) -> None:
    if not found.HasField("data"):
        causes.required("data", "data is mandatory")
    if found.revision < 0:
        causes.invalid("revision", found.revision, numbers.NOT_NEGATIVE)


def revision_update(new: apps.ControllerRevision, old: apps.ControllerRevision, causes: Causes) -> None:
    revision(new, causes)
    if new.data != old.data:
        causes.changed("data", new.data)
