"""ServiceAccount: a pod runs as one that exists, and finds its token where client libraries look for it."""

from __future__ import annotations

import os

from raftsman.core import v1 as core
from raftsman.services.apiserver import failures

from .attributes import CREATES, Attributes, Plugin

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 (a path)
TOKEN_LIFETIME_S = 3607
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


async def _admit(attributes: Attributes) -> None:
    """errors.Forbidden if the service account does not exist."""
    api, call, pod = attributes.api, attributes.call, attributes.new
    spec = pod.spec
    spec.service_account_name = spec.service_account_name or spec.service_account or "default"
    spec.service_account = spec.service_account_name
    accounts = api.kinds["serviceaccounts"]
    found = api.cache(accounts).get(pod.metadata.namespace, spec.service_account_name)
    if found is None:
        await api.feed.fresh()
        found = api.cache(accounts).get(pod.metadata.namespace, spec.service_account_name)
    if found is None:
        why = (
            f"error looking up service account {pod.metadata.namespace}/{spec.service_account_name}: "
            f'serviceaccount "{spec.service_account_name}" not found'
        )
        raise failures.forbidden(call.kind.resource, pod.metadata.name, why)
    account: core.ServiceAccount = found.parsed()
    wanted = account.automount_service_account_token if account.HasField("automount_service_account_token") else True
    if spec.HasField("automount_service_account_token"):
        wanted = spec.automount_service_account_token
    if wanted:
        _mount_token(spec)
    if not spec.image_pull_secrets:
        spec.image_pull_secrets.extend(account.image_pull_secrets)


def _mount_token(spec: core.PodSpec) -> None:
    """A projected volume with token, CA and namespace, in each container that has nothing at that path."""
    name = next((one.name for one in spec.volumes if one.name.startswith("kube-api-access-")), "")
    containers = [*spec.init_containers, *spec.containers]
    lacking = [one for one in containers if all(mount.mount_path != TOKEN_PATH for mount in one.volume_mounts)]
    if not lacking:
        return
    if not name:
        name = "kube-api-access-" + "".join(_SUFFIX[byte % len(_SUFFIX)] for byte in os.urandom(5))
        volume = spec.volumes.add()
        volume.CopyFrom(_TOKEN_VOLUME)
        volume.name = name
    for container in lacking:
        container.volume_mounts.add(name=name, read_only=True, mount_path=TOKEN_PATH)


def _token_volume() -> core.Volume:
    volume = core.Volume()
    projected = volume.volume_source.projected
    projected.default_mode = 0o644
    projected.sources.add().service_account_token.MergeFrom(
        core.ServiceAccountTokenProjection(expiration_seconds=TOKEN_LIFETIME_S, path="token")
    )
    ca = projected.sources.add().config_map
    ca.local_object_reference.name = "kube-root-ca.crt"
    ca.items.add(key="ca.crt", path="ca.crt")
    item = projected.sources.add().downward_api.items.add(path="namespace")
    item.field_ref.api_version = "v1"
    item.field_ref.field_path = "metadata.namespace"
    return volume


_TOKEN_VOLUME = _token_volume()
"""The same for every pod, but for its name."""

PLUGIN = Plugin("ServiceAccount", CREATES, kinds=frozenset({"pods"}), mutate=_admit)
