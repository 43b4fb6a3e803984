"""A container's environment variables. Pure: what they refer to is passed in.

In order, later ones winning: the services of the namespace (and the API's own), `envFrom`, `env`. `$(NAME)` in a
value refers to what came before it; `$$(NAME)` is a literal `$(NAME)`; an unknown name stays as written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from raftsman.agents.node import fields
from raftsman.core import v1 as core

_REFERENCE = re.compile(r"\$(?:(\$)|\(([^()]*)\))")
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
API_NAMESPACE = "default"
API_SERVICE = "kubernetes"


class ConfigFault(Exception):
    """A container's configuration cannot be had: reason CreateContainerConfigError."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Looks up what variables refer to; None: there is no such object."""

    config_map: Callable[[str], core.ConfigMap | None]
    secret: Callable[[str], core.Secret | None]
    services: Iterable[core.Service]
    facts: fields.Facts


def build(pod: core.Pod, container: core.Container, sources: Sources) -> dict[str, str]:
    """The variables of `container`; ConfigFault names what is missing."""
    links = pod.spec.enable_service_links if pod.spec.HasField("enable_service_links") else True
    values = dict(service_variables(sources.services, pod.metadata.namespace, links=links))
    for source in container.env_from:
        values.update(_bulk(source, sources))
    for variable in container.env:
        if not variable.HasField("value_from"):
            values[variable.name] = expand(variable.value, values)
            continue
        value = _referred(pod, container, variable, sources)
        if value is not None:
            values[variable.name] = value
    return values


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value."""

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        return values.get(found[2], found[0])

    return _REFERENCE.sub(one, text) if "$" in text else text


def _bulk(source: core.EnvFromSource, sources: Sources) -> dict[str, str]:
    optional = source.config_map_ref.optional or source.secret_ref.optional
    if source.HasField("config_map_ref"):
        name, kind = source.config_map_ref.local_object_reference.name, "configmap"
        config_map = sources.config_map(name)
        data = dict(config_map.data) if config_map is not None else None
    else:
        name, kind = source.secret_ref.local_object_reference.name, "secret"
        secret = sources.secret(name)
        data = {k: _text(v) for k, v in secret.data.items()} if secret is not None else None
    if data is None:
        if optional:
            return {}
        raise ConfigFault(f'{kind} "{name}" not found')
    named = {source.prefix + key: value for key, value in sorted(data.items())}
    return {key: value for key, value in named.items() if _NAME.fullmatch(key)}


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


def _referred(pod: core.Pod, container: core.Container, variable: core.EnvVar, sources: Sources) -> str | None:
    origin = variable.value_from
    if origin.HasField("field_ref"):
        try:
            return fields.of_pod(pod, origin.field_ref.field_path, sources.facts)
        except ValueError as error:
            raise ConfigFault(str(error)) from None
    if origin.HasField("resource_field_ref"):
        try:
            return fields.of_resources(pod, container, origin.resource_field_ref, sources.facts)
        except ValueError as error:
            raise ConfigFault(str(error)) from None
    if origin.HasField("config_map_key_ref"):
        return _config_map_key(pod, origin.config_map_key_ref, sources)
    if origin.HasField("secret_key_ref"):
        return _secret_key(pod, origin.secret_key_ref, sources)
    raise ConfigFault(f'variable "{variable.name}" has a source that this node does not support')


def _config_map_key(pod: core.Pod, ref: core.ConfigMapKeySelector, sources: Sources) -> str | None:
    name = ref.local_object_reference.name
    found = sources.config_map(name)
    if found is not None and ref.key in found.data:
        return str(found.data[ref.key])
    if ref.optional:
        return None
    raise _missing("ConfigMap", pod, name, key=ref.key, there=found is not None)


def _secret_key(pod: core.Pod, ref: core.SecretKeySelector, sources: Sources) -> str | None:
    name = ref.local_object_reference.name
    found = sources.secret(name)
    if found is not None and ref.key in found.data:
        return _text(found.data[ref.key])
    if ref.optional:
        return None
    raise _missing("Secret", pod, name, key=ref.key, there=found is not None)


def _missing(kind: str, pod: core.Pod, name: str, *, key: str, there: bool) -> ConfigFault:
    if there:
        return ConfigFault(f"couldn't find key {key} in {kind} {pod.metadata.namespace}/{name}")
    return ConfigFault(f'{kind.lower()} "{name}" not found')


def service_variables(services: Iterable[core.Service], namespace: str, *, links: bool) -> Iterable[tuple[str, str]]:
    """`NAME_SERVICE_HOST`, `NAME_SERVICE_PORT` and the docker-link names of each service with an address.

    The API's own service is always among them; those of `namespace` only with `links`.
    """
    for service in services:
        is_api = service.metadata.namespace == API_NAMESPACE and service.metadata.name == API_SERVICE
        own = links and service.metadata.namespace == namespace
        if (own or is_api) and service.spec.cluster_ip not in ("", "None") and service.spec.ports:
            yield from _one_service(service)


def _one_service(service: core.Service) -> Iterable[tuple[str, str]]:
    name = service.metadata.name.upper().replace("-", "_")
    host = service.spec.cluster_ip
    yield f"{name}_SERVICE_HOST", host
    yield f"{name}_SERVICE_PORT", str(service.spec.ports[0].port)
    for port in service.spec.ports:
        if port.name:
            yield f"{name}_SERVICE_PORT_{port.name.upper().replace('-', '_')}", str(port.port)
    for index, port in enumerate(service.spec.ports):
        protocol = (port.protocol or "TCP").upper()
        address = f"[{host}]" if ":" in host else host
        url = f"{protocol.lower()}://{address}:{port.port}"
        if index == 0:
            yield f"{name}_PORT", url
        prefix = f"{name}_PORT_{port.port}_{protocol}"
        yield prefix, url
        yield f"{prefix}_PROTO", protocol.lower()
        yield f"{prefix}_PORT", str(port.port)
        yield f"{prefix}_ADDR", host
