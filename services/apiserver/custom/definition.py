"""What a CustomResourceDefinition must be like, and what an update of one may not change (Kubernetes' rules)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from raftsman import errors
from raftsman.apiextensions import v1 as apiextensions
from raftsman.printers import paths as jsonpath
from raftsman.services.apiserver.validation import names
from raftsman.services.apiserver.validation.causes import Causes

from . import conditions, paths, structural
from .kinds import schema_of

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
APPROVED = "api-approved.kubernetes.io"
SELECTABLE_MAX = 8
WARNING_BYTES_MAX = 256
_SCOPES = ("Cluster", "Namespaced")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_PROTECTED = re.compile(r"(.*\.)?(k8s\.io|kubernetes\.io)")

Definition = apiextensions.CustomResourceDefinition
Version = apiextensions.CustomResourceDefinitionVersion


def default(definition: Definition) -> None:
    spec = definition.spec
    if spec.names.kind:
        spec.names.singular = spec.names.singular or spec.names.kind.lower()
        spec.names.list_kind = spec.names.list_kind or f"{spec.names.kind}List"
    if not spec.conversion.strategy:
        spec.conversion.strategy = "None"
    if spec.conversion.webhook.client_config.HasField("service"):
        service = spec.conversion.webhook.client_config.service
        if not service.HasField("port"):
            service.port = 443
    for version in spec.versions:
        for column in version.additional_printer_columns:
            if not column.HasField("priority"):
                column.ClearField("priority")


def complete_create(definition: Definition) -> None:
    """What is stored is of the storage version."""
    stored = [version.name for version in definition.spec.versions if version.storage]
    definition.status.stored_versions.extend(stored[:1])


def prepare_update(new: Definition, old: Definition) -> None:
    """A new storage version is one more in which objects may be stored."""
    for version in new.spec.versions:
        if version.storage and version.name not in new.status.stored_versions:
            new.status.stored_versions.append(version.name)


def prepare_delete(definition: Definition) -> None:
    """Its objects are deleted before it goes."""
    if FINALIZER not in definition.metadata.finalizers:
        definition.metadata.finalizers.append(FINALIZER)
    conditions.set_(
        definition.status, conditions.TERMINATING, "True", "InstanceDeletionPending",
        "the definition was marked for deletion; its objects are about to be deleted",
    )  # fmt: skip


def validate(definition: Definition, causes: Causes) -> None:
    spec = definition.spec
    wanted = f"{spec.names.plural}.{spec.group}"
    if definition.metadata.name != wanted:
        causes.invalid(
            "metadata.name", definition.metadata.name, f'must be spec.names.plural+"."+spec.group ("{wanted}")'
        )
    _approval(definition, causes)
    _spec(definition, causes)


def _spec(definition: Definition, causes: Causes) -> None:
    spec = definition.spec
    _group(spec.group, causes)
    if not spec.scope:
        causes.required("spec.scope")
    elif spec.scope not in _SCOPES:
        causes.not_supported("spec.scope", spec.scope, _SCOPES)
    if spec.preserve_unknown_fields:
        causes.invalid("spec.preserveUnknownFields", True, "must be false")
    _names(spec.names, causes, path="spec.names")
    _versions(spec, causes)
    _conversion(spec.conversion, causes, path="spec.conversion")


def update(new: Definition, old: Definition, causes: Causes) -> None:
    for path, is_, was in (
        ("spec.group", new.spec.group, old.spec.group),
        ("spec.names.plural", new.spec.names.plural, old.spec.names.plural),
    ):
        if is_ != was:
            causes.changed(path, is_)
    if conditions.is_true(old, conditions.ESTABLISHED):
        for path, is_, was in (
            ("spec.scope", new.spec.scope, old.spec.scope),
            ("spec.names.kind", new.spec.names.kind, old.spec.names.kind),
        ):
            if is_ != was:
                causes.changed(path, is_)
    if new.spec != old.spec or new.metadata.annotations != old.metadata.annotations:
        validate(new, causes)
    _stored(new, causes)


def status(new: Definition, old: Definition, causes: Causes) -> None:
    _stored(new, causes)


def _stored(definition: Definition, causes: Causes) -> None:
    known = [version.name for version in definition.spec.versions]
    stored = list(definition.status.stored_versions)
    if not stored:
        causes.invalid("status.storedVersions", [], "must have at least one stored version")
        return
    for index, name in enumerate(stored):
        if name not in known:
            causes.invalid(f"status.storedVersions[{index}]", name, "missing from spec.versions; "
                           f"{name} was previously a storage version, and must remain in spec.versions until a storage "
                           f"migration ensures no data remains persisted in {name} and removes {name} from "
                           "status.storedVersions")  # fmt: skip
    storing = [version.name for version in definition.spec.versions if version.storage]
    if storing and storing[0] not in stored:
        causes.invalid("status.storedVersions", stored, f"must have the storage version {storing[0]}")


def _approval(definition: Definition, causes: Causes) -> None:
    group, annotations = definition.spec.group, definition.metadata.annotations
    if not _PROTECTED.fullmatch(group):
        return
    given = annotations.get(APPROVED, "")
    path = f"metadata.annotations[{APPROVED}]"
    if not given:
        causes.required(path, f'protected groups must have approval annotation "{APPROVED}"')
    elif not given.startswith(("https://", "http://", "unapproved")):
        causes.invalid(
            path,
            given,
            'protected groups must have approval annotation with either a URL or a reason starting with "unapproved"',
        )


def _group(group: str, causes: Causes) -> None:
    if not group:
        causes.required("spec.group")
        return
    for wrong in names.dns_subdomain(group):
        causes.invalid("spec.group", group, wrong)
    if "." not in group:
        causes.invalid("spec.group", group, "should be a domain with at least one dot")


def _names(found: apiextensions.CustomResourceDefinitionNames, causes: Causes, *, path: str) -> None:
    if not found.plural:
        causes.required(f"{path}.plural")
    if not found.kind:
        causes.required(f"{path}.kind")
    labels = [(f"{path}.plural", found.plural), (f"{path}.singular", found.singular)]
    labels += [(f"{path}.shortNames[{index}]", one) for index, one in enumerate(found.short_names)]
    labels += [(f"{path}.categories[{index}]", one) for index, one in enumerate(found.categories)]
    for at, text in labels:
        for wrong in names.dns_1035_label(text) if text else ():
            causes.invalid(at, text, wrong)
    for at, text in ((f"{path}.kind", found.kind), (f"{path}.listKind", found.list_kind)):
        for wrong in names.dns_1035_label(text.lower()) if text else ():
            causes.invalid(at, text, f"may have mixed case, but should otherwise match: {wrong}")
    if found.kind and found.kind == found.list_kind:
        causes.invalid(f"{path}.listKind", found.list_kind, "kind and listKind may not be the same")


def _versions(spec: apiextensions.CustomResourceDefinitionSpec, causes: Causes) -> None:
    found = [version.name for version in spec.versions]
    if not found:
        causes.invalid("spec.versions", [], "must have at least one version")
    if len(set(found)) != len(found):
        causes.invalid("spec.versions", found, "must contain unique version names")
    if found and sum(version.storage for version in spec.versions) != 1:
        causes.invalid("spec.versions", found, "must have exactly one version marked as storage version")
    if found and not any(version.served for version in spec.versions):
        causes.invalid("spec.versions", found, "must have at least one version that is served")
    for index, version in enumerate(spec.versions):
        _version(version, causes, path=f"spec.versions[{index}]")


def _version(version: Version, causes: Causes, *, path: str) -> None:
    for wrong in names.dns_1035_label(version.name):
        causes.invalid(f"{path}.name", version.name, wrong)
    if version.HasField("deprecation_warning"):
        text, at = version.deprecation_warning, f"{path}.deprecationWarning"
        if not version.deprecated:
            causes.invalid(at, text, "can only be set for deprecated versions")
        if not text:
            causes.invalid(at, text, "must not be an empty string")
        elif len(text.encode()) > WARNING_BYTES_MAX or not text.isprintable():
            causes.invalid(at, text, f"must be printable UTF-8 characters of at most {WARNING_BYTES_MAX} bytes")
    if not version.schema.HasField("open_apiv3_schema"):
        causes.required(f"{path}.schema.openAPIV3Schema", "schemas are required")
        return
    tree = schema_of(version)
    structural.check(tree, causes, path=f"{path}.schema.openAPIV3Schema")
    _subresources(version.subresources, tree, causes, path=f"{path}.subresources")
    for index, column in enumerate(version.additional_printer_columns):
        _column(column, causes, path=f"{path}.additionalPrinterColumns[{index}]")
    _selectable(version, tree, causes, path=f"{path}.selectableFields")
    if not causes and _any_rules(tree):
        from . import rules

        rules.check(tree, causes, path=f"{path}.schema.openAPIV3Schema")


def _any_rules(tree: Mapping[str, Any]) -> bool:
    from .schema import compiled

    return compiled(tree).any_rules


def _subresources(
    found: apiextensions.CustomResourceSubresources, tree: Mapping[str, Any], causes: Causes, *, path: str
) -> None:
    if not found.HasField("scale"):
        return
    scale, path = found.scale, f"{path}.scale"
    _under(scale.spec_replicas_path, causes, path=f"{path}.specReplicasPath", roots=(".spec.",))
    _under(scale.status_replicas_path, causes, path=f"{path}.statusReplicasPath", roots=(".status.",))
    if scale.label_selector_path:
        _under(scale.label_selector_path, causes, path=f"{path}.labelSelectorPath", roots=(".spec.", ".status."))


def _under(given: str, causes: Causes, *, path: str, roots: tuple[str, ...]) -> None:
    if not given:
        causes.required(path)
    elif not given.startswith(roots) or not paths.is_simple(given):
        causes.invalid(
            path,
            given,
            f"should be a json path under {' or '.join(root.rstrip('.') for root in roots)}, without arrays",
        )


def _column(column: apiextensions.CustomResourceColumnDefinition, causes: Causes, *, path: str) -> None:
    if not column.name:
        causes.required(f"{path}.name")
    if not column.type:
        causes.required(f"{path}.type", f"must be one of {', '.join(_COLUMN_TYPES)}")
    elif column.type not in _COLUMN_TYPES:
        causes.invalid(f"{path}.type", column.type, f"must be one of {', '.join(_COLUMN_TYPES)}")
    if column.format and column.format not in _COLUMN_FORMATS:
        causes.invalid(f"{path}.format", column.format, f"must be one of {', '.join(_COLUMN_FORMATS)}")
    if not column.json_path:
        causes.required(f"{path}.jsonPath")
        return
    if not column.json_path.startswith("."):
        causes.invalid(f"{path}.jsonPath", column.json_path, "is an invalid path: must start with .")
        return
    try:
        jsonpath.find(column.json_path, {})
    except errors.BadRequest as error:
        causes.invalid(f"{path}.jsonPath", column.json_path, f"is an invalid path: {error}")


def _selectable(version: Version, tree: Mapping[str, Any], causes: Causes, *, path: str) -> None:
    if len(version.selectable_fields) > SELECTABLE_MAX:
        causes.too_many(path, len(version.selectable_fields), SELECTABLE_MAX)
    seen: set[str] = set()
    for index, one in enumerate(version.selectable_fields):
        at, given = f"{path}[{index}].jsonPath", one.json_path
        if not given:
            causes.required(at)
            continue
        if given in seen:
            causes.duplicate(at, given)
        seen.add(given)
        if not paths.is_simple(given) or given.startswith(".metadata."):
            causes.invalid(at, given, "is an invalid path: must be a simple path outside of metadata")
            continue
        found: Any = tree
        for name in given.strip(".").split("."):
            found = found.get("properties", {}).get(name) if isinstance(found, Mapping) else None
        kind = found.get("type") if isinstance(found, Mapping) else None
        if kind not in ("string", "boolean", "integer"):
            causes.invalid(at, given, "must point to a field of type string, boolean or integer")


def _conversion(conversion: apiextensions.CustomResourceConversion, causes: Causes, *, path: str) -> None:
    strategy, has_webhook = conversion.strategy, conversion.HasField("webhook")
    if strategy not in ("None", "Webhook"):
        causes.not_supported(f"{path}.strategy", strategy, ("None", "Webhook"))
    if strategy == "None" and has_webhook:
        causes.forbidden(f"{path}.webhook", "should not be set when strategy is not set to Webhook")
    if strategy != "Webhook":
        return
    webhook, path = conversion.webhook, f"{path}.webhook"
    if not has_webhook or not webhook.HasField("client_config"):
        causes.required(f"{path}.clientConfig", "required when strategy is set to Webhook")
        return
    if not webhook.conversion_review_versions:
        causes.required(f"{path}.conversionReviewVersions")
    elif "v1" not in webhook.conversion_review_versions:
        causes.invalid(f"{path}.conversionReviewVersions", list(webhook.conversion_review_versions), "must include v1")
    _client(webhook.client_config, causes, path=f"{path}.clientConfig")


def _client(config: apiextensions.WebhookClientConfig, causes: Causes, *, path: str) -> None:
    has_url, has_service = config.HasField("url"), config.HasField("service")
    if has_url is has_service:
        causes.required(path, "exactly one of url or service is required")
    elif has_url and not config.url.startswith("https://"):
        causes.invalid(f"{path}.url", config.url, "'https' is the only allowed URL scheme")
    elif has_service:
        for field in ("name", "namespace"):
            if not getattr(config.service, field):
                causes.required(f"{path}.service.{field}", f"service {field} is required")
        if not 1 <= config.service.port <= 65535:
            causes.invalid(
                f"{path}.service.port", config.service.port, "port is not valid: must be between 1 and 65535, inclusive"
            )
        if config.service.path and not config.service.path.startswith("/"):
            causes.invalid(f"{path}.service.path", config.service.path, "must start with a '/'")
