"""The client: one method a verb, for every served kind.

The kind of a call is the message that it is given: `client.get(core.Pod, "web-1")`. Objects come back as that message.
`namespace` defaults to "default" for verbs on one object and to all namespaces for lists; kinds without namespaces
ignore it. Every method raises `errors.ApiError`; unary calls take `timeout_s` (default of the configuration: 30 s).
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import orjson
import yaml
from raftsman import errors, resources
from raftsman.apiserver import v1 as apiserver
from raftsman.authentication import v1 as authentication
from raftsman.autoscaling import v1 as autoscaling
from raftsman.certificates import v1 as certificates
from raftsman.core import v1 as core
from raftsman.dynamic import v1 as dynamic_api
from raftsman.meta import v1 as meta
from raftsman.policy import v1 as policy
from raftsman.resources import Resource

from . import streams, watching
from .config import ClientConfig
from .dynamic import SERVICE, Dynamic
from .ports import PodConnection
from .reflection import Selection
from .transport import Transport
from .types import Event, PatchType, PodBinding, Propagation

T = TypeVar("T")
Patch = dict[str, Any] | list[Any] | bytes


class Client:
    """One connection to one API server. Use as `async with Client.from_kubeconfig() as client`, or `close` it."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.transport = Transport(config)

    @classmethod
    def from_kubeconfig(cls, path: str | os.PathLike[str] | None = None, context: str | None = None) -> Client:
        """Connect as a kubeconfig says: `path`, $KUBECONFIG, ~/.kube/config, a pod's service account, or the admin
        file of the data directory. Raises ConfigError."""
        from raftsman import kubeconfig

        return cls(kubeconfig.load(path, context))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.transport.close()

    # ---- reading

    async def get(
        self, message: type[T], name: str, *, namespace: str = "default", resource_version: str = "",
        timeout_s: float | None = None,
    ) -> T:  # fmt: skip
        """One object. Raises errors.NotFound."""
        resource = _served(message)
        request = meta.GetRequest(namespace=_scope(resource, namespace), name=name, resource_version=resource_version)
        return await self._call(resource, "Get", request, message, read=True, timeout_s=timeout_s)

    async def list(
        self, message: type[Any], *, namespace: str = "", label_selector: str = "", field_selector: str = "",
        limit: int = 0, continue_token: str = "", resource_version: str = "", timeout_s: float | None = None,
    ) -> Any:  # fmt: skip
        """The kind's list message. With `limit`, `metadata.continue_token` of the answer asks for the rest."""
        resource = _served(message)
        request = meta.ListRequest(
            namespace=_scope(resource, namespace),
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
            continue_token=continue_token,
            resource_version=resource_version,
        )
        return await self._call(resource, "List", request, _list_message(resource), read=True, timeout_s=timeout_s)

    def watch(
        self, message: type[T], *, namespace: str = "", label_selector: str = "", field_selector: str = "",
        resource_version: str = "",
    ) -> AsyncGenerator[Event[T], None]:  # fmt: skip
        """Changes without end. Starts with one ADDED for each object there is, or after `resource_version`.

        Resumes by itself after a disconnect, without gap or repetition; if the server no longer has the revision, it
        lists again and yields the difference. Only what cannot get better (Forbidden, Invalid …) is raised.
        """
        return watching.events(self.transport, self._selection(message, namespace, label_selector, field_selector),
                               resource_version)  # fmt: skip

    async def wait(
        self, message: type[T], name: str, condition: Callable[[T | None], bool], *, namespace: str = "default",
        timeout_s: float,
    ) -> T | None:  # fmt: skip
        """Until `condition` holds of the object, or of None while there is none; returns what it held of.

        Raises errors.Timeout after `timeout_s`.
        """
        selection = self._selection(message, namespace, "", f"metadata.name={name}")
        return await watching.until(self.transport, selection, condition, name=name, timeout_s=timeout_s)

    def _selection(self, message: type[Any], namespace: str, labels: str, fields: str) -> Selection:
        resource = _served(message)
        return Selection(resource, _scope(resource, namespace), labels, fields)

    # ---- writing

    async def create(
        self, obj: T, *, dry_run: bool = False, field_manager: str = "", timeout_s: float | None = None
    ) -> T:
        """Store a new object; its namespace is `metadata.namespace` or "default". Raises AlreadyExists, Invalid."""
        return await self._write("Create", obj, dry_run=dry_run, field_manager=field_manager, timeout_s=timeout_s)

    async def update(
        self, obj: T, *, dry_run: bool = False, field_manager: str = "", timeout_s: float | None = None
    ) -> T:
        """Replace all but the status. Raises Conflict if `metadata.resource_version` is set and is not the current."""
        return await self._write("Update", obj, dry_run=dry_run, field_manager=field_manager, timeout_s=timeout_s)

    async def update_status(
        self, obj: T, *, dry_run: bool = False, field_manager: str = "", timeout_s: float | None = None
    ) -> T:
        """Replace the status and nothing else."""
        return await self._write("UpdateStatus", obj, dry_run=dry_run, field_manager=field_manager, timeout_s=timeout_s)

    async def update_approval(
        self, request: certificates.CertificateSigningRequest, *, timeout_s: float | None = None
    ) -> certificates.CertificateSigningRequest:
        """Replace the conditions of a certificate signing request: approve or deny it."""
        return await self._write("UpdateApproval", request, timeout_s=timeout_s)

    async def finalize(self, namespace: core.Namespace, *, timeout_s: float | None = None) -> core.Namespace:
        """Replace `spec.finalizers` of a namespace that is being deleted."""
        return await self._write("Finalize", namespace, timeout_s=timeout_s)

    async def _write(
        self, verb: str, obj: T, *, dry_run: bool = False, field_manager: str = "", timeout_s: float | None = None
    ) -> T:
        message = type(obj)
        resource = _served(message)
        request = meta.WriteRequest(
            object=obj.SerializeToString(),  # type: ignore[attr-defined]
            namespace=_scope(resource, obj.metadata.namespace or "default"),  # type: ignore[attr-defined]
        )
        if dry_run:
            request.options.dry_run = True
        if field_manager:
            request.options.field_manager = field_manager
        return await self._call(resource, verb, request, message, timeout_s=timeout_s)

    async def create_manifest(
        self, message: type[T], manifest: bytes | dict[str, Any], *, namespace: str = "default",
        options: meta.WriteOptions | None = None, timeout_s: float | None = None,
    ) -> T:  # fmt: skip
        """Create from JSON or YAML that the server decodes and checks, unknown fields included."""
        return await self._write_manifest("Create", message, manifest, namespace, options, timeout_s)

    async def update_manifest(
        self, message: type[T], manifest: bytes | dict[str, Any], *, namespace: str = "default",
        options: meta.WriteOptions | None = None, timeout_s: float | None = None,
    ) -> T:  # fmt: skip
        """Update from JSON or YAML that the server decodes and checks."""
        return await self._write_manifest("Update", message, manifest, namespace, options, timeout_s)

    async def apply_manifest(
        self, manifest: bytes | dict[str, Any], *, namespace: str = "default",
        options: meta.WriteOptions | None = None, timeout_s: float | None = None,
    ) -> Any:  # fmt: skip
        """Create what one manifest describes, or replace it if it exists. `namespace` is used if it names none.

        For a three-way merge see `raftsman apply`.
        """
        body = manifest if isinstance(manifest, dict) else yaml.safe_load(manifest)
        if not isinstance(body, dict):
            raise errors.BadRequest("a manifest is one mapping with apiVersion and kind")
        api_version, kind = str(body.get("apiVersion", "")), str(body.get("kind", ""))
        resource = resources.by_kind(api_version, kind)
        if resource is None:
            raise errors.BadRequest(f'no matches for kind "{kind}" in version "{api_version}"')
        where = (body.get("metadata") or {}).get("namespace") or namespace
        try:
            return await self._write_manifest("Create", resource.message, manifest, where, options, timeout_s)
        except errors.AlreadyExists:
            return await self._write_manifest("Update", resource.message, manifest, where, options, timeout_s)

    async def _write_manifest(
        self, verb: str, message: type[T], manifest: bytes | dict[str, Any], namespace: str,
        options: meta.WriteOptions | None, timeout_s: float | None,
    ) -> T:  # fmt: skip
        resource = _known(message)
        data = manifest if isinstance(manifest, bytes) else orjson.dumps(manifest)
        request = meta.WriteRequest(manifest=data, namespace=_scope(resource, namespace), options=options)
        return await self._call(resource, verb, request, message, timeout_s=timeout_s)

    async def patch(
        self, message: type[T], name: str, patch: Patch, *, namespace: str = "default",
        type: PatchType = PatchType.MERGE, subresource: str = "", options: meta.WriteOptions | None = None,
        timeout_s: float | None = None,
    ) -> T:  # fmt: skip
        """Change a part. `patch` has the shape of the JSON object; a JSON patch (RFC 6902) is a list."""
        resource = _served(message)
        request = meta.PatchRequest(
            namespace=_scope(resource, namespace),
            name=name,
            type=type.value,
            patch=patch if isinstance(patch, bytes) else orjson.dumps(patch),
            subresource=subresource,
            options=options,
        )
        return await self._call(resource, "Patch", request, message, timeout_s=timeout_s)

    async def apply(
        self, message: type[T], name: str, config: bytes | dict[str, Any], *, field_manager: str,
        namespace: str = "default", force: bool = False, subresource: str = "",
        options: meta.WriteOptions | None = None, timeout_s: float | None = None,
    ) -> T:  # fmt: skip
        """Server-side apply (KEP-555): what `field_manager` wants of an object, and only that; creates it if need be.

        What the manager said before and no longer says is removed, unless somebody else owns it. Conflict, with a cause
        for each field, if it would change what another manager owns; `force` takes that over.
        """
        wanted = meta.WriteOptions()
        if options is not None:
            wanted.CopyFrom(options)
        wanted.field_manager, wanted.force = field_manager, force
        return await self.patch(
            message, name, config, namespace=namespace, type=PatchType.APPLY, subresource=subresource, options=wanted,
            timeout_s=timeout_s,
        )  # fmt: skip

    async def delete(
        self, message: type[T], name: str, *, namespace: str = "default", grace_period_s: int | None = None,
        propagation: Propagation | str | None = None, uid: str | None = None, resource_version: str | None = None,
        dry_run: bool = False, timeout_s: float | None = None,
    ) -> T:  # fmt: skip
        """Ask for an object's end; returns its last state, which may go on existing until grace and finalizers end.

        `uid` and `resource_version` are preconditions: Conflict if the object is another by now.
        """
        resource = _served(message)
        options = _delete_options(grace_period_s, propagation, uid, resource_version, dry_run)
        request = meta.DeleteRequest(namespace=_scope(resource, namespace), name=name, options=options)
        return await self._call(resource, "Delete", request, message, timeout_s=timeout_s)

    async def delete_collection(
        self, message: type[Any], *, namespace: str, label_selector: str = "", field_selector: str = "",
        grace_period_s: int | None = None, propagation: Propagation | str | None = None,
        timeout_s: float | None = None,
    ) -> Any:  # fmt: skip
        """Delete all that is selected in a namespace; returns the kind's list message."""
        resource = _served(message)
        request = meta.DeleteCollectionRequest(
            namespace=_scope(resource, namespace),
            label_selector=label_selector,
            field_selector=field_selector,
            options=_delete_options(grace_period_s, propagation, None, None, False),
        )
        return await self._call(resource, "DeleteCollection", request, _list_message(resource), timeout_s=timeout_s)

    # ---- subresources

    async def get_scale(
        self, message: type[Any], name: str, *, namespace: str = "default", timeout_s: float | None = None
    ) -> autoscaling.Scale:
        resource = _served(message)
        request = meta.GetRequest(namespace=namespace, name=name)
        return await self._call(resource, "GetScale", request, autoscaling.Scale, read=True, timeout_s=timeout_s)

    async def update_scale(
        self, message: type[Any], scale: autoscaling.Scale, *, dry_run: bool = False, timeout_s: float | None = None
    ) -> autoscaling.Scale:
        """Set `spec.replicas` of the object that `scale.metadata` names."""
        request = autoscaling.ScaleWriteRequest(object=scale, namespace=scale.metadata.namespace or "default")
        if dry_run:
            request.options.dry_run = True
        return await self._call(_served(message), "UpdateScale", request, autoscaling.Scale, timeout_s=timeout_s)

    async def bind(
        self, namespace: str, pod_name: str, node_name: str, *, uid: str | None = None, timeout_s: float | None = None
    ) -> None:
        """Place a pod on a node. Raises Conflict if it is placed already."""
        request = _bind_request(PodBinding(namespace, pod_name, node_name, uid))
        await self._call(_served(core.Pod), "Bind", request, core.BindResponse, timeout_s=timeout_s)

    async def update_ephemeral_containers(self, pod: core.Pod, *, timeout_s: float | None = None) -> core.Pod:
        """Add ephemeral containers to a pod that runs; those that are there stay."""
        return await self._write("UpdateEphemeralContainers", pod, timeout_s=timeout_s)

    async def resize(self, pod: core.Pod, *, timeout_s: float | None = None) -> core.Pod:
        """Change the processor time and memory of a pod's containers, where they run."""
        return await self._write("Resize", pod, timeout_s=timeout_s)

    async def evict(
        self, name: str, *, namespace: str = "default", grace_period_s: int | None = None, uid: str | None = None,
        dry_run: bool = False, timeout_s: float | None = None,
    ) -> None:  # fmt: skip
        """Delete a pod if its disruption budget lets it go; raises errors.TooManyRequests if it does not."""
        request = policy.EvictRequest(namespace=namespace)
        request.eviction.metadata.name = name
        options = _delete_options(grace_period_s, None, uid, None, dry_run)
        request.eviction.delete_options.CopyFrom(options)
        await self._call(_served(core.Pod), "Evict", request, policy.EvictResponse, timeout_s=timeout_s)

    async def bind_many(
        self, bindings: Iterable[PodBinding | tuple[Any, ...]], *, timeout_s: float | None = None
    ) -> Sequence[errors.ApiError | None]:
        """Place many pods in one log entry; in the order of `bindings`, None or why that one was refused."""
        request = core.BindManyRequest(bindings=[_bind_request(PodBinding(*binding)) for binding in bindings])
        response = await self._call(_served(core.Pod), "BindMany", request, core.BindManyResponse, timeout_s=timeout_s)
        return [errors.from_status(r.error) if r.HasField("error") else None for r in response.results]

    def logs(
        self, name: str, *, namespace: str = "default", container: str = "", follow: bool = False,
        previous: bool = False, timestamps: bool = False, since_s: int | None = None,
        since_time: meta.Time | None = None, tail_lines: int | None = None, limit_bytes: int | None = None,
    ) -> AsyncGenerator[bytes, None]:  # fmt: skip
        """A container's output, in pieces as they come. `container` may be empty when the pod has one."""
        request = core.LogsRequest(
            namespace=namespace, name=name, container=container, follow=follow, previous=previous,
            timestamps=timestamps, since_seconds=since_s, since_time=since_time, tail_lines=tail_lines,
            limit_bytes=limit_bytes,
        )  # fmt: skip
        return streams.logs(self.transport, request)

    def exec(
        self, name: str, command: Sequence[str], *, namespace: str = "default", container: str = "",
        stdin: AsyncIterator[bytes] | None = None, tty: bool = False,
        sizes: AsyncIterator[core.TerminalSize] | None = None,
    ) -> AsyncGenerator[core.ExecResponse, None]:  # fmt: skip
        """Run a command in a container; yields stdout and stderr as they come, and last `exit`."""
        start = streams.start_of(
            name, command, namespace=namespace, container=container, stdin=stdin is not None, tty=tty
        )
        return streams.execute(self.transport, start, stdin, sizes)

    def attach(
        self, name: str, *, namespace: str = "default", container: str = "",
        stdin: AsyncIterator[bytes] | None = None, tty: bool = False,
        sizes: AsyncIterator[core.TerminalSize] | None = None,
    ) -> AsyncGenerator[core.ExecResponse, None]:  # fmt: skip
        """A running container's own streams, from now on; last `exit`, whose code is 0: the pod's status has it.

        `tty` is for containers that have a terminal. Input reaches those that were made with `stdin`.
        """
        start = streams.start_of(name, (), namespace=namespace, container=container, stdin=stdin is not None, tty=tty)
        return streams.execute(self.transport, start, stdin, sizes, method="Attach")

    def port_forward(self, name: str, port: int, *, namespace: str = "default") -> PodConnection:
        """One connection to a TCP port of a pod: `async with client.port_forward("web-1", 80) as connection`."""
        start = core.PortForwardStart(namespace=namespace, name=name, port=port)
        return PodConnection(self.transport, start)

    async def create_token(
        self, name: str, *, namespace: str, audiences: Sequence[str] = (), expiration_s: int = 3600,
        bound_to: authentication.BoundObjectReference | None = None, timeout_s: float | None = None,
    ) -> authentication.TokenRequest:  # fmt: skip
        """A token of a service account, in `status.token`; `bound_to` ends it with that object."""
        spec = authentication.TokenRequestSpec(audiences=audiences, expiration_seconds=expiration_s)
        if bound_to is not None:
            spec.bound_object_ref.CopyFrom(bound_to)
        request = authentication.TokenWriteRequest(
            object=authentication.TokenRequest(spec=spec), namespace=namespace, name=name
        )
        return await self._call(
            _served(core.ServiceAccount), "CreateToken", request, authentication.TokenRequest, timeout_s=timeout_s
        )

    # ---- any resource

    def dynamic(self, group: str, version: str, name: str) -> Dynamic:
        """Objects of any resource, custom ones too, as dicts: `client.dynamic("stable.example.com", "v1", "crontabs")`.

        With types, see `raftsman.custom`.
        """
        return Dynamic(self.transport, group, version, name)

    async def resources(self, *, timeout_s: float | None = None) -> dynamic_api.ListResourcesResponse:
        """Everything that is served at this moment, custom resources included."""
        return await self.transport.unary(
            f"/{SERVICE}/ListResources", dynamic_api.ListResourcesRequest(), dynamic_api.ListResourcesResponse,
            read=True, timeout_s=timeout_s,
        )  # fmt: skip

    # ---- the server

    async def version(self, *, timeout_s: float | None = None) -> apiserver.GetVersionResponse:
        return await self.transport.unary(
            "/raftsman.apiserver.v1.ApiServer/GetVersion", apiserver.GetVersionRequest(),
            apiserver.GetVersionResponse, read=True, timeout_s=timeout_s,
        )  # fmt: skip

    async def whoami(self, *, timeout_s: float | None = None) -> apiserver.WhoAmIResponse:
        return await self.transport.unary(
            "/raftsman.apiserver.v1.ApiServer/WhoAmI", apiserver.WhoAmIRequest(),
            apiserver.WhoAmIResponse, read=True, timeout_s=timeout_s,
        )  # fmt: skip

    async def _call(
        self, resource: Resource, verb: str, request: Any, answer: type[T], *, read: bool = False,
        timeout_s: float | None = None,
    ) -> T:  # fmt: skip
        method = f"/{resource.service or _unserved_service(resource)}/{verb}"
        return await self.transport.unary(method, request, answer, read=read, timeout_s=timeout_s)


def _known(message: type[Any]) -> Resource:
    try:
        return resources.by_message(message)
    except KeyError:
        raise errors.BadRequest(f"{message.DESCRIPTOR.full_name} is not a kind") from None


def _served(message: type[Any]) -> Resource:
    resource = _known(message)
    if not resource.service:
        raise errors.MethodNotSupported(f"{resource.qualified} is not served yet")
    return resource


def _list_message(resource: Resource) -> type[Any]:
    assert resource.list_message is not None, "every served kind has a list message"
    return resource.list_message


def _unserved_service(resource: Resource) -> str:
    """Where a kind would be served: the server answers there why it is not."""
    package = resource.message.DESCRIPTOR.full_name.rpartition(".")[0]
    return f"{package}.{resource.kind}s"


def _scope(resource: Resource, namespace: str) -> str:
    return namespace if resource.namespaced else ""


def _bind_request(binding: PodBinding) -> core.BindRequest:
    request = core.BindRequest(namespace=binding.namespace)
    request.binding.metadata.name = binding.name
    request.binding.metadata.namespace = binding.namespace
    if binding.uid:
        request.binding.metadata.uid = binding.uid
    request.binding.target.kind = "Node"
    request.binding.target.name = binding.node_name
    return request


def _delete_options(
    grace_period_s: int | None, propagation: str | None, uid: str | None, resource_version: str | None, dry_run: bool
) -> meta.DeleteOptions:
    options = meta.DeleteOptions(grace_period_seconds=grace_period_s)
    if propagation:
        options.propagation_policy = str(propagation)
    if uid:
        options.preconditions.uid = uid
    if resource_version:
        options.preconditions.resource_version = resource_version
    if dry_run:
        options.dry_run.append("All")
    return options
