"""Ingresses and their classes."""

from __future__ import annotations

import re

from raftsman.core import v1 as core
from raftsman.networking import v1 as networking

from . import addresses, names, ports
from .causes import Causes

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_CONTROLLER_BYTES_MAX = 250
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_SCOPES = ("Cluster", "Namespace")
_WITHIN = ("//", "/./", "/../", "%2f", "%2F")
_AT_THE_END = ("/..", "/.")
_HTTP_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


def ingress(found: networking.Ingress, causes: Causes) -> None:
    """A new ingress, whose annotation and class agree."""
    _spec(found.spec, causes, keep_secret_names=False)
    annotation = found.metadata.annotations.get(CLASS_ANNOTATION)
    named = found.spec.HasField("ingress_class_name")
    if annotation is not None and named and annotation != found.spec.ingress_class_name:
        causes.invalid(
            f"annotations.{CLASS_ANNOTATION}", annotation, "must match `ingressClassName` when both are specified"
        )


def ingress_update(new: networking.Ingress, old: networking.Ingress, causes: Causes) -> None:
    """Secret names that were wrong before stay allowed."""
    wrong_before = any(tls.secret_name and names.dns_subdomain(tls.secret_name) for tls in old.spec.tls)
    _spec(new.spec, causes, keep_secret_names=wrong_before)


def ingress_status(new: networking.Ingress, old: networking.Ingress, causes: Causes) -> None:
    """The addresses that traffic comes in by."""
    before = {one.ip for one in old.status.load_balancer.ingress}
    for index, entry in enumerate(new.status.load_balancer.ingress):
        at = f"status.loadBalancer.ingress[{index}]"
        if entry.ip:
            addresses.address(entry.ip, causes, path=f"{at}.ip", kept=before)
        if entry.hostname:
            for wrong in names.dns_subdomain(entry.hostname):
                causes.invalid(f"{at}.hostname", entry.hostname, wrong)
            _no_address(entry.hostname, causes, path=f"{at}.hostname")


def _spec(spec: networking.IngressSpec, causes: Causes, *, keep_secret_names: bool) -> None:
    if not spec.rules and not spec.HasField("default_backend"):
        causes.invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    if spec.HasField("default_backend"):
        _backend(spec.default_backend, causes, path="spec.defaultBackend")
    for index, rule in enumerate(spec.rules):
        _rule(rule, causes, path=f"spec.rules[{index}]")
    for index, tls in enumerate(spec.tls):
        at = f"spec.tls[{index}]"
        for position, host in enumerate(tls.hosts):
            _host(host, causes, path=f"{at}.hosts[{position}]")
        if tls.secret_name and not keep_secret_names:
            for wrong in names.dns_subdomain(tls.secret_name):
                causes.invalid(f"{at}.secretName", tls.secret_name, wrong)
    if spec.HasField("ingress_class_name"):
        for wrong in names.dns_subdomain(spec.ingress_class_name):
            causes.invalid("spec.ingressClassName", spec.ingress_class_name, wrong)


def _host(host: str, causes: Causes, *, path: str) -> None:
    for wrong in names.wildcard_subdomain(host) if "*" in host else names.dns_subdomain(host):
        causes.invalid(path, host, wrong)


def _no_address(host: str, causes: Causes, *, path: str) -> None:
    if addresses.parsed(host) is not None:
        causes.invalid(path, host, "must be a DNS name, not an IP address")


def _rule(rule: networking.IngressRule, causes: Causes, *, path: str) -> None:
    if rule.host:
        _no_address(rule.host, causes, path=f"{path}.host")
        _host(rule.host, causes, path=f"{path}.host")
    value = rule.ingress_rule_value
    if not value.HasField("http"):
        return
    if not value.http.paths:
        causes.required(f"{path}.http.paths")
    for index, one in enumerate(value.http.paths):
        _path(one, causes, path=f"{path}.http.paths[{index}]")


def _path(found: networking.HTTPIngressPath, causes: Causes, *, path: str) -> None:
    if not found.HasField("path_type"):
        causes.required(f"{path}.pathType", "pathType must be specified")
        return
    at, text = f"{path}.path", found.path
    if found.path_type in ("Exact", "Prefix"):
        if not text.startswith("/"):
            causes.invalid(at, text, "must be an absolute path")
        for part in _WITHIN:
            if part in text:
                causes.invalid(at, text, f"must not contain '{part}'")
        for end in _AT_THE_END:
            if text.endswith(end):
                causes.invalid(at, text, f"cannot end with '{end}'")
    elif found.path_type == "ImplementationSpecific":
        if text and not text.startswith("/"):
            causes.invalid(at, text, "must be an absolute path")
    else:
        causes.not_supported(f"{path}.pathType", found.path_type, _PATH_TYPES)
    _backend(found.backend, causes, path=f"{path}.backend")


def _backend(found: networking.IngressBackend, causes: Causes, *, path: str) -> None:
    if found.HasField("resource") and found.HasField("service"):
        causes.invalid(path, "", "cannot set both resource and service backends")
    elif found.HasField("resource"):
        _reference(found.resource, causes, path=f"{path}.resource")
    elif found.HasField("service"):
        _service(found.service, causes, path=path)
    else:
        causes.invalid(path, "", "resource or service backend is required")


def _service(found: networking.IngressServiceBackend, causes: Causes, *, path: str) -> None:
    at, port = f"{path}.service", found.port
    if not found.name:
        causes.required(f"{at}.name")
    for wrong in names.dns_label(found.name) if found.name else ():
        causes.invalid(f"{at}.name", found.name, wrong)
    if port.name and port.number:
        causes.invalid(path, "", "cannot set both port name & port number")
    elif port.name:
        for wrong in names.port_name(port.name):
            causes.invalid(f"{at}.port.name", port.name, wrong)
    elif port.number:
        ports.number(port.number, causes, path=f"{at}.port.number")
    else:
        causes.required(path, "port name or number is required")


def _reference(
    found: core.TypedLocalObjectReference | networking.IngressClassParametersReference, causes: Causes, *, path: str
) -> None:
    """A group that is one, a kind and a name."""
    if found.HasField("api_group"):
        for wrong in names.dns_subdomain(found.api_group):
            causes.invalid(f"{path}.apiGroup", found.api_group, wrong)
    for word, text in (("kind", found.kind), ("name", found.name)):
        required_segment(text, causes, path=f"{path}.{word}")


def required_segment(text: str, causes: Causes, *, path: str) -> None:
    """Something that can stand in a path, and is there."""
    if not text:
        causes.required(path)
    for wrong in names.path_segment(text):
        causes.invalid(path, text, wrong)


def ingress_class(found: networking.IngressClass, causes: Causes) -> None:
    """Who implements it, and where its parameters are."""
    controller = found.spec.controller
    if not controller:
        causes.required("spec.controller")
    elif len(controller.encode()) > _CONTROLLER_BYTES_MAX:
        causes.too_long("spec.controller", _CONTROLLER_BYTES_MAX)
    if controller:
        domain_prefixed_path(controller, causes, path="spec.controller")
    if found.spec.HasField("parameters"):
        _parameters(found.spec.parameters, causes, path="spec.parameters")


def ingress_class_update(new: networking.IngressClass, old: networking.IngressClass, causes: Causes) -> None:
    """The controller stays."""
    if new.spec.controller != old.spec.controller:
        causes.changed("spec.controller", new.spec.controller)
    ingress_class(new, causes)


def domain_prefixed_path(text: str, causes: Causes, *, path: str) -> None:
    """`acme.io/foo`."""
    host, _, rest = text.partition("/")
    if not host or not rest:
        causes.invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    for wrong in names.dns_subdomain(host):
        causes.invalid(path, host, wrong)
    if not _HTTP_PATH.fullmatch(rest):
        causes.invalid(path, rest, f"Invalid path (regex used for validation is '{_HTTP_PATH.pattern}')")


def _parameters(found: networking.IngressClassParametersReference, causes: Causes, *, path: str) -> None:
    _reference(found, causes, path=path)
    if not found.HasField("scope"):
        causes.required(f"{path}.scope")
    elif found.scope not in _SCOPES:
        causes.not_supported(f"{path}.scope", found.scope, _SCOPES)
    elif found.scope == "Cluster" and found.HasField("namespace"):
        causes.forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")
    elif found.scope == "Namespace" and not found.HasField("namespace"):
        causes.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
    elif found.scope == "Namespace":
        for wrong in names.dns_label(found.namespace):
            causes.invalid(f"{path}.namespace", found.namespace, wrong)
