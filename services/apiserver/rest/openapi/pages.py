"""What is answered under /openapi: the index and the documents of 3.0, and the one document of 2.0.

Making them all takes a while, so it is done beside the event loop; each is kept until what is served changes.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from raftsman import errors, logs
from raftsman.services.apiserver.rest import documents, media, paths
from raftsman.services.apiserver.rest.catalog import Catalog, GroupVersion
from raftsman.services.apiserver.rest.http import Answer, Request
from raftsman.services.apiserver.rest.published import Published

from . import VERSION, gnostic, roots, swagger

V2, V3 = "/openapi/v2", "/openapi/v3"
_YEAR = datetime.timedelta(days=365)
# The answer's name has no @, which Go's clients cannot read.
_V2_PROTOBUF = gnostic.MEDIA.replace("@", ".")
_V2_MEDIA = {media.JSON: media.JSON, gnostic.MEDIA: _V2_PROTOBUF, _V2_PROTOBUF: _V2_PROTOBUF}
_V3_MEDIA = {media.JSON: media.JSON}

Versions = tuple[GroupVersion, ...]

log = logs.get(__name__)


class Pages:
    """The pages about a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._making = asyncio.Lock()

    async def answer(self, path: str, request: Request) -> Answer:
        """The answer at a path under /openapi. errors.NotFound if there is none."""
        accept = request.headers.get("accept", "")
        if path == V2:
            form = _form(accept, _V2_MEDIA)
            found: Published = await self._kept(f"v2 {form}", lambda versions: _v2(versions, form))
            return found.answer(request)
        _form(accept, _V3_MEDIA)
        published: dict[str, Published] = await self._kept("v3", _v3)
        name = path.removeprefix(V3).removeprefix("/")
        if not path.startswith(V3) or name not in published:
            raise paths.not_found()
        return _hashed(name, published[name], request)

    async def _kept(self, key: str, make: Callable[[Versions], Any]) -> Any:
        async with self._making:
            versions = self._catalog.versions()
            found = self._catalog.known(("openapi", key))
            if found is None:
                found = await asyncio.to_thread(make, versions)
                self._catalog.keep(("openapi", key), found, about=versions)
            return found


def _hashed(name: str, found: Published, request: Request) -> Answer:
    """Who names a document's hash, as the index does, may keep it for ever."""
    wanted = request.first("hash")
    if not wanted or not name:
        return found.answer(request, cache="no-cache, private")
    if wanted != found.digest:
        return Answer(301, b"", headers=[("Location", _url(name, found))])
    expires = (datetime.datetime.now(datetime.UTC) + _YEAR).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return found.answer(request, cache="public, immutable", extra=(("Expires", expires),))


def _v3(versions: Versions) -> dict[str, Published]:
    """Every 3.0 document by its path below /openapi/v3; the index at ""."""
    trees = {one.path: one.openapi() for one in versions} | roots.documents(versions)
    found = {path: Published(documents.dumped(tree)) for path, tree in trees.items()}
    index = {path: {"serverRelativeURL": _url(path, one)} for path, one in sorted(found.items())}
    return found | {"": Published(documents.dumped({"paths": index}))}


def _v2(versions: Versions, form: str) -> Published:
    """What others say comes last, so that it replaces nothing, and only if it can be translated."""
    own = [one.openapi() for one in versions if not one.foreign]
    others = [tree for one in versions if one.foreign and _translates(tree := one.openapi(), one.name)]
    tree = swagger.document([*own, *roots.documents(versions).values(), *others], version=VERSION)
    return Published(documents.dumped(tree) if form == media.JSON else gnostic.serialised(tree), form)


def _translates(tree: Mapping[str, Any], name: str) -> bool:
    try:
        gnostic.serialised(swagger.document([tree], version=VERSION))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, StopIteration) as error:
        log.info("an OpenAPI document is left out of 2.0", group_version=name, error=f"{type(error).__name__}: {error}")
        return False
    return True


def _url(name: str, found: Published) -> str:
    return f"{V3}/{name}?hash={found.digest}"


def _form(accept: str, known: dict[str, str]) -> str:
    """The first known media type that is asked for; all have one answer for who takes anything."""
    for wanted in _wanted(accept or "*/*"):
        if wanted in known:
            return known[wanted]
        if wanted in ("*/*", "application/*"):
            return media.JSON
    error = errors.ApiError(f"only the following media types are accepted: {', '.join(known)}")
    error.status.reason, error.status.code = "NotAcceptable", 406
    raise error


def _wanted(accept: str) -> Iterable[str]:
    return (clause.partition(";")[0].strip().lower() for clause in accept.split(","))
