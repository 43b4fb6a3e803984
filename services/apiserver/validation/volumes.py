"""Volumes of a pod: names unique, one source each, sources complete."""

from __future__ import annotations

from collections.abc import Sequence

from raftsman.core import v1 as core

from . import containers, metadata, mounts, names, resources, volume_sources
from .causes import Causes

_HOST_PATH_TYPES = frozenset({
    "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice",
})  # fmt: skip
_KEY_TYPES = frozenset({"ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"})
_TOKEN_MIN_S = 600
_TOKEN_MAX_S = 1 << 32


def all_of(found: Sequence[core.Volume], causes: Causes, *, path: str) -> None:
    seen: set[str] = set()
    for index, volume in enumerate(found):
        at = f"{path}[{index}]"
        if not volume.name:
            causes.required(f"{at}.name")
        else:
            for wrong in names.dns_label(volume.name):
                causes.invalid(f"{at}.name", volume.name, wrong)
        if volume.name in seen:
            causes.duplicate(f"{at}.name", volume.name)
        seen.add(volume.name)
        _source(volume.volume_source, causes, path=at)


def _source(found: core.VolumeSource, causes: Causes, *, path: str) -> None:
    given = found.ListFields()
    if not given:
        causes.required(path, "must specify a volume type")
    for field, _ in given[1:]:
        causes.forbidden(f"{path}.{field.json_name}", "may not specify more than 1 volume type")
    for field, source in given[:1]:
        volume_sources.source(field.name, source, causes, path=f"{path}.{field.json_name}")
    if found.HasField("host_path"):
        _host_path(found.host_path, causes, path=f"{path}.hostPath")
    if found.HasField("empty_dir") and found.empty_dir.HasField("size_limit"):
        resources.one(found.empty_dir.size_limit, causes, path=f"{path}.emptyDir.sizeLimit")
    if found.HasField("empty_dir") and not _is_medium(found.empty_dir.medium):
        causes.not_supported(f"{path}.emptyDir.medium", found.empty_dir.medium, ("", "HugePages", "Memory"))
    if found.HasField("secret"):
        _named(found.secret.secret_name, causes, path=f"{path}.secret.secretName")
        _items(found.secret.items, causes, path=f"{path}.secret.items")
        _mode(found.secret.default_mode, causes, path=f"{path}.secret.defaultMode")
    if found.HasField("config_map"):
        _named(found.config_map.local_object_reference.name, causes, path=f"{path}.configMap.name")
        _items(found.config_map.items, causes, path=f"{path}.configMap.items")
        _mode(found.config_map.default_mode, causes, path=f"{path}.configMap.defaultMode")
    if found.HasField("downward_api"):
        _files(found.downward_api.items, causes, path=f"{path}.downwardAPI.items")
        _mode(found.downward_api.default_mode, causes, path=f"{path}.downwardAPI.defaultMode")
    if found.HasField("projected"):
        _projected(found.projected, causes, path=f"{path}.projected")


def _is_medium(text: str) -> bool:
    return text in ("", "Memory", "HugePages") or text.startswith("HugePages-")


def _named(name: str, causes: Causes, *, path: str) -> None:
    if not name:
        causes.required(path)


def _mode(mode: int, causes: Causes, *, path: str) -> None:
    if not 0 <= mode <= 0o777:
        causes.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")


def _host_path(found: core.HostPathVolumeSource, causes: Causes, *, path: str) -> None:
    if not found.path:
        causes.required(f"{path}.path")
    elif ".." in found.path.split("/"):
        causes.invalid(f"{path}.path", found.path, "must not contain '..'")
    if found.type not in _HOST_PATH_TYPES:
        causes.not_supported(f"{path}.type", found.type, _HOST_PATH_TYPES)


def _items(found: Sequence[core.KeyToPath], causes: Causes, *, path: str) -> None:
    for index, item in enumerate(found):
        at = f"{path}[{index}]"
        if not item.key:
            causes.required(f"{at}.key")
        _file(item.path, causes, path=f"{at}.path")
        if item.HasField("mode"):
            _mode(item.mode, causes, path=f"{at}.mode")


def _file(text: str, causes: Causes, *, path: str) -> None:
    if not text:
        causes.required(path)
        return
    mounts.below(text, causes, path=path)
    if text.startswith(".."):
        causes.invalid(path, text, "must not start with '..'")


def _files(found: Sequence[core.DownwardAPIVolumeFile], causes: Causes, *, path: str) -> None:
    for index, item in enumerate(found):
        at = f"{path}[{index}]"
        _file(item.path, causes, path=f"{at}.path")
        if item.HasField("field_ref"):
            containers.field_path(item.field_ref, causes, path=f"{at}.fieldRef", volume=True)
            if item.HasField("resource_field_ref"):
                causes.invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
        elif item.HasField("resource_field_ref"):
            containers.resource_field(item.resource_field_ref, causes, path=f"{at}.resourceFieldRef", named=True)
        else:
            causes.required(at, "one of fieldRef and resourceFieldRef is required")


def _projected(found: core.ProjectedVolumeSource, causes: Causes, *, path: str) -> None:
    _mode(found.default_mode, causes, path=f"{path}.defaultMode")
    for index, source in enumerate(found.sources):
        at = f"{path}.sources[{index}]"
        given = source.ListFields()
        for field, _ in given[1:]:
            causes.forbidden(f"{at}.{field.json_name}", "may not specify more than 1 volume type per source")
        if not given:
            causes.required(at, "must specify a projection")
        if source.HasField("secret"):
            _named(source.secret.local_object_reference.name, causes, path=f"{at}.secret.name")
            _items(source.secret.items, causes, path=f"{at}.secret.items")
        if source.HasField("config_map"):
            _named(source.config_map.local_object_reference.name, causes, path=f"{at}.configMap.name")
            _items(source.config_map.items, causes, path=f"{at}.configMap.items")
        if source.HasField("downward_api"):
            _files(source.downward_api.items, causes, path=f"{at}.downwardAPI.items")
        if source.HasField("cluster_trust_bundle"):
            _bundle(source.cluster_trust_bundle, causes, path=f"{at}.clusterTrustBundle")
        if source.HasField("pod_certificate"):
            _certificate(source.pod_certificate, causes, path=f"{at}.podCertificate")
        if source.HasField("service_account_token"):
            _token(source.service_account_token, causes, path=f"{at}.serviceAccountToken")


def _token(found: core.ServiceAccountTokenProjection, causes: Causes, *, path: str) -> None:
    _file(found.path, causes, path=f"{path}.path")
    seconds = found.expiration_seconds
    if seconds < _TOKEN_MIN_S:
        causes.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    elif seconds > _TOKEN_MAX_S:
        causes.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")


def _bundle(found: core.ClusterTrustBundleProjection, causes: Causes, *, path: str) -> None:
    """By name, or by signer and labels."""
    if found.HasField("name") and found.HasField("signer_name"):
        causes.invalid(path, found, "only one of name and signerName may be used")
    elif not found.HasField("name") and not found.HasField("signer_name"):
        causes.required(path, "either name or signerName must be specified")
    if found.HasField("label_selector"):
        if found.HasField("name"):
            causes.invalid(f"{path}.labelSelector", found.label_selector, "only allowed when signerName is specified")
        metadata.label_selector(found.label_selector, causes, path=f"{path}.labelSelector")
    _file(found.path, causes, path=f"{path}.path")


def _certificate(found: core.PodCertificateProjection, causes: Causes, *, path: str) -> None:
    if not found.signer_name:
        causes.required(f"{path}.signerName")
    if found.key_type not in _KEY_TYPES:
        causes.not_supported(f"{path}.keyType", found.key_type, _KEY_TYPES)
    files = (
        ("credentialBundlePath", found.credential_bundle_path), ("keyPath", found.key_path),
        ("certificateChainPath", found.certificate_chain_path),
    )  # fmt: skip
    if not any(text for _, text in files):
        causes.required(path, "specify at least one of credentialBundlePath, keyPath and certificateChainPath")
    for word, text in files:
        if text:
            _file(text, causes, path=f"{path}.{word}")
