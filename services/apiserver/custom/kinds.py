"""From a CustomResourceDefinition to the kinds that serve it: one for each version that is served.

A kind's schema is compiled once; the objects are stored as the definition's storage version says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raftsman import codec
from raftsman.apiextensions import v1 as apiextensions
from raftsman.options import v1 as options
from raftsman.resources import Resource
from raftsman.services.apiserver.kinds import Conversions, Kind
from raftsman.services.apiserver.validation import names

from . import columns, defaulting, paths, values
from .document import Document, Documents
from .schema import Schema, compiled

SERVICE = "raftsman.custom"
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_STATUS_VERBS = ("get", "patch", "update")


def schema_of(version: apiextensions.CustomResourceDefinitionVersion) -> Mapping[str, Any]:
    """The JSON of a version's schema; one that preserves everything if it has none."""
    if not version.schema.HasField("open_apiv3_schema"):
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return codec.to_json(version.schema.open_apiv3_schema)


def kinds_of(definition: apiextensions.CustomResourceDefinition, conversions: Conversions) -> dict[str, Kind]:
    """The kind of every version, also of those that are not served, by the version's name."""
    storing = next(version for version in definition.spec.versions if version.storage)
    storage = _kind(definition, storing, conversions, None)
    others = (version for version in definition.spec.versions if not version.storage)
    return {storing.name: storage, **{one.name: _kind(definition, one, conversions, storage) for one in others}}


def storage_version(definition: apiextensions.CustomResourceDefinition) -> str:
    return next(version.name for version in definition.spec.versions if version.storage)


def _kind(
    definition: apiextensions.CustomResourceDefinition, version: apiextensions.CustomResourceDefinitionVersion,
    conversions: Conversions, storage: Kind | None,
) -> Kind:  # fmt: skip
    tree = schema_of(version)
    schema = compiled(tree)
    if definition.spec.preserve_unknown_fields:
        schema.preserve = True
    resource = _resource(definition, version)
    rules = values.Rules(schema)
    has_status = version.subresources.HasField("status")
    return Kind(
        resource, name_rule=names.dns_subdomain, has_status=has_status, has_generation=True,
        prepare_create=_drop_status if has_status else _nothing,
        default=_defaulter(schema), validate=rules.create, validate_update=rules.update, validate_status=rules.status,
        selectable=frozenset(one.json_path.lstrip(".") for one in version.selectable_fields),
        fields_of=_selected(definition), form=Documents(resource, schema), columns=columns.of(version),
        list_kind=definition.status.accepted_names.list_kind,
        scale=paths.Scale.of(version.subresources.scale),
        closed=definition.metadata.HasField("deletion_timestamp"), warning=_deprecation(resource, version),
        schema=tree, unconditional_update=False, storage=storage, conversions=conversions,
    )  # fmt: skip


def _nothing(_: Any) -> None:
    return None


def _drop_status(document: Document) -> None:
    document.content.pop("status", None)


def _defaulter(schema: Schema) -> Callable[[Document], None]:
    def default(document: Document) -> None:
        defaulting.fill(document.content, schema)

    return default


def _selected(
    definition: apiextensions.CustomResourceDefinition,
) -> Callable[[Document], Mapping[str, str]] | None:
    """The fields of all versions: the cache selects among objects as they are stored."""
    wanted = {one.json_path for version in definition.spec.versions for one in version.selectable_fields}
    if not wanted:
        return None
    return lambda document: {path.lstrip("."): paths.text_at(document.content, path) for path in wanted}


def _deprecation(resource: Resource, version: apiextensions.CustomResourceDefinitionVersion) -> str:
    if not version.deprecated:
        return ""
    return version.deprecation_warning or f"{resource.api_version} {resource.kind} is deprecated"


def _resource(
    definition: apiextensions.CustomResourceDefinition, version: apiextensions.CustomResourceDefinitionVersion
) -> Resource:
    accepted, spec = definition.status.accepted_names, definition.spec
    facts = options.Resource(
        group=spec.group, version=version.name, kind=accepted.kind, name=accepted.plural, singular=accepted.singular,
        short_names=accepted.short_names, categories=accepted.categories, namespaced=spec.scope == "Namespaced",
        verbs=VERBS, service=f"{SERVICE}.{spec.group}.{version.name}.{accepted.plural}",
    )  # fmt: skip
    if version.subresources.HasField("status"):
        facts.subresources.add(name="status", kind=accepted.kind, verbs=_STATUS_VERBS)
    if version.subresources.HasField("scale"):
        facts.subresources.add(name="scale", kind="Scale", verbs=_STATUS_VERBS)
    return Resource(Document, None, facts)
