"""APIServices."""

from __future__ import annotations

from cryptography import x509
from raftsman import resources
from raftsman.apiregistration import v1 as apiregistration

from . import names
from .causes import Causes

GROUP_PRIORITY_MAX = 20000
VERSION_PRIORITY_MAX = 1000
_STATUSES = frozenset({"True", "False", "Unknown"})


def api_service(found: apiregistration.APIService, causes: Causes) -> None:
    spec = found.spec
    wanted = f"{spec.version}.{spec.group}"
    if found.metadata.name != wanted:
        causes.invalid("metadata.name", found.metadata.name, f'must be `spec.version+"."+spec.group`: "{wanted}"')
    for wrong in names.dns_subdomain(spec.group) if spec.group else ():
        causes.invalid("spec.group", spec.group, wrong)
    for wrong in names.dns_1035_label(spec.version):
        causes.invalid("spec.version", spec.version, wrong)
    if not spec.group and spec.version != "v1":
        causes.invalid("spec.group", spec.group, "only v1 may have an empty group and it better be legacy kube")
    _priority(spec.group_priority_minimum, GROUP_PRIORITY_MAX, causes, path="spec.groupPriorityMinimum")
    _priority(spec.version_priority, VERSION_PRIORITY_MAX, causes, path="spec.versionPriority")
    if spec.HasField("service"):
        _service(spec, causes)
    else:
        _local(spec, causes)


def api_service_update(new: apiregistration.APIService, _: apiregistration.APIService, causes: Causes) -> None:
    api_service(new, causes)


def api_service_status(new: apiregistration.APIService, _: apiregistration.APIService, causes: Causes) -> None:
    for index, condition in enumerate(new.status.conditions):
        if condition.status not in _STATUSES:
            causes.not_supported(f"status.conditions[{index}].status", condition.status, _STATUSES)


def _priority(value: int, limit: int, causes: Causes, *, path: str) -> None:
    if not 0 < value <= limit:
        causes.invalid(path, value, f"must be positive and less than {limit}")


def _local(spec: apiregistration.APIServiceSpec, causes: Causes) -> None:
    if spec.ca_bundle:
        causes.invalid("spec.caBundle", f"{len(spec.ca_bundle)} bytes", "local APIServices may not have a caBundle")
    if spec.insecure_skip_tls_verify:
        why = "local APIServices may not have insecureSkipTLSVerify"
        causes.invalid("spec.insecureSkipTLSVerify", True, why)


def _service(spec: apiregistration.APIServiceSpec, causes: Causes) -> None:
    built_in = {(one.group, one.version) for one in resources.served()}
    if (spec.group, spec.version) in built_in:
        causes.unserved("spec.service", "handing a group version that is built in to another server")
    reference = spec.service
    if not reference.namespace:
        causes.required("spec.service.namespace")
    if not reference.name:
        causes.required("spec.service.name")
    if not 0 < reference.port < 65536:
        causes.invalid("spec.service.port", reference.port, "port is not valid: must be between 1 and 65535, inclusive")
    if spec.insecure_skip_tls_verify and spec.ca_bundle:
        causes.invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")
    elif spec.ca_bundle:
        _certificates(bytes(spec.ca_bundle), causes)


def _certificates(bundle: bytes, causes: Causes) -> None:
    try:
        x509.load_pem_x509_certificates(bundle)
    except ValueError as error:
        causes.invalid("spec.caBundle", f"{len(bundle)} bytes", f"unable to load root certificates: {error}")
