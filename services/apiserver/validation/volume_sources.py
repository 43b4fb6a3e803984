"""Sources of volumes that a pod or a persistent volume names: what each must say.

`REQUIRED` lists by source the fields that may not be empty, in Python names; what is beyond that is code.
"""

from __future__ import annotations

import re
from typing import Any

from raftsman.core import v1 as core

from . import names, numbers
from .causes import Causes

REQUIRED: dict[str, tuple[str, ...]] = {
    "gce_persistent_disk": ("pd_name",),
    "aws_elastic_block_store": ("volume_id",),
    "git_repo": ("repository",),
    "nfs": ("server", "path"),
    "iscsi": ("target_portal", "iqn"),
    "glusterfs": ("endpoints", "path"),
    "persistent_volume_claim": ("claim_name",),
    "rbd": ("monitors", "image"),
    "flex_volume": ("driver",),
    "cinder": ("volume_id",),
    "cephfs": ("monitors",),
    "azure_file": ("secret_name", "share_name"),
    "vsphere_volume": ("volume_path",),
    "quobyte": ("registry", "volume"),
    "azure_disk": ("disk_name", "disk_uri"),
    "photon_persistent_disk": ("pd_id",),
    "portworx_volume": ("volume_id",),
    "scale_io": ("gateway", "system", "volume_name"),
    "storageos": ("volume_name",),
    "csi": ("driver",),
    "local": ("path",),
}
_PARTITION = "must be between 0 and 255, inclusive"
_IQN = re.compile(r"(iqn\.\d{4}-\d{2}\.[a-z0-9-.]+(:.*)?|eui\.[0-9A-Fa-f]{16}|naa\.[0-9A-Fa-f]{32})")
_DISK_CACHES = frozenset({"None", "ReadOnly", "ReadWrite"})
_DISK_KINDS = frozenset({"Dedicated", "Managed", "Shared"})
_PULL_POLICIES = frozenset({"Always", "IfNotPresent", "Never"})


def source(name: str, found: Any, causes: Causes, *, path: str) -> None:
    """One source by its field's name in Python; `path` is the source's own."""
    for field in REQUIRED.get(name, ()):
        if not getattr(found, field):
            causes.required(f"{path}.{numbers.json_name(found, field)}")
    check = _CHECKS.get(name)
    if check is not None:
        check(found, causes, path)


def _partition(found: Any, causes: Causes, path: str) -> None:
    if not 0 <= found.partition <= 255:
        causes.invalid(f"{path}.partition", found.partition, _PARTITION)


def _nfs(found: core.NFSVolumeSource, causes: Causes, path: str) -> None:
    if found.path and not found.path.startswith("/"):
        causes.invalid(f"{path}.path", found.path, "must be an absolute path")


def _iscsi(found: Any, causes: Causes, path: str) -> None:
    if found.iqn and not _IQN.fullmatch(found.iqn):
        causes.invalid(f"{path}.iqn", found.iqn, "must be valid format")
    if not 0 <= found.lun <= 255:
        causes.invalid(f"{path}.lun", found.lun, _PARTITION)
    if (found.chap_auth_discovery or found.chap_auth_session) and not found.HasField("secret_ref"):
        causes.required(f"{path}.secretRef")
    if found.initiator_name and not _IQN.fullmatch(found.initiator_name):
        causes.invalid(f"{path}.initiatorname", found.initiator_name, "must be valid format")


def _fc(found: core.FCVolumeSource, causes: Causes, path: str) -> None:
    if not found.target_wwns and not found.wwids:
        causes.required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if found.target_wwns and found.wwids:
        shown = list(found.target_wwns)
        causes.invalid(f"{path}.targetWWNs", shown, "targetWWNs and wwids can not be specified simultaneously")
    if found.target_wwns:
        if not found.HasField("lun"):
            causes.required(f"{path}.lun", "lun is required if targetWWNs is specified")
        elif not 0 <= found.lun <= 255:
            causes.invalid(f"{path}.lun", found.lun, _PARTITION)


def _flocker(found: core.FlockerVolumeSource, causes: Causes, path: str) -> None:
    if not found.dataset_name and not found.dataset_uuid:
        causes.required(path, "one of datasetName and datasetUUID is required")
    if found.dataset_name and found.dataset_uuid:
        causes.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in found.dataset_name:
        causes.invalid(f"{path}.datasetName", found.dataset_name, "must not contain '/'")


def _azure_disk(found: core.AzureDiskVolumeSource, causes: Causes, path: str) -> None:
    if found.caching_mode and found.caching_mode not in _DISK_CACHES:
        causes.not_supported(f"{path}.cachingMode", found.caching_mode, _DISK_CACHES)
    if found.kind and found.kind not in _DISK_KINDS:
        causes.not_supported(f"{path}.kind", found.kind, _DISK_KINDS)


def _csi(found: Any, causes: Causes, path: str) -> None:
    if found.driver:
        for wrong in names.dns_subdomain(found.driver.lower()):
            causes.invalid(f"{path}.driver", found.driver, wrong)
    if isinstance(found, core.CSIPersistentVolumeSource):
        if not found.volume_handle:
            causes.required(f"{path}.volumeHandle")
        for field in found.DESCRIPTOR.fields:
            if field.name.endswith("_secret_ref") and found.HasField(field.name):  # type: ignore[arg-type]
                _secret(getattr(found, field.name), causes, path=f"{path}.{field.json_name}")
    elif found.HasField("node_publish_secret_ref") and not found.node_publish_secret_ref.name:
        causes.required(f"{path}.nodePublishSecretRef.name")


def _secret(found: core.SecretReference, causes: Causes, *, path: str) -> None:
    for word in ("name", "namespace"):
        if not getattr(found, word):
            causes.required(f"{path}.{word}")


def _ephemeral(found: core.EphemeralVolumeSource, causes: Causes, path: str) -> None:
    from . import claims

    if not found.HasField("volume_claim_template"):
        causes.required(f"{path}.volumeClaimTemplate")
        return
    claims.claim_spec(found.volume_claim_template.spec, causes, path=f"{path}.volumeClaimTemplate.spec")


def _image(found: core.ImageVolumeSource, causes: Causes, path: str) -> None:
    if not found.reference:
        causes.required(f"{path}.reference")
    if found.pull_policy not in _PULL_POLICIES:
        causes.not_supported(f"{path}.pullPolicy", found.pull_policy, _PULL_POLICIES)


_CHECKS = {
    "gce_persistent_disk": _partition, "aws_elastic_block_store": _partition, "nfs": _nfs, "iscsi": _iscsi, "fc": _fc,
    "flocker": _flocker, "azure_disk": _azure_disk, "csi": _csi, "ephemeral": _ephemeral, "image": _image,
}  # fmt: skip
