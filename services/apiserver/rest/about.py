"""What the server says of itself: its version, health, metrics, what it serves, OpenAPI of that, who signs tokens."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from raftsman import errors
from raftsman.apiserver import v1 as apiserver
from raftsman.services.apiserver.access.identity import User
from raftsman.services.apiserver.access.tokens import Tokens
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.verbs import about

from . import checks, discovery, documents, media, paths
from .catalog import Catalog
from .http import Answer, Request
from .openapi.pages import Pages

_KEY_SET = "/openid/v1/jwks"
_ISSUER = ("/.well-known/openid-configuration", _KEY_SET)
_PAGES = ("/openapi/v2", "/openapi/v3", "/version", "/metrics", *checks.ROOTS, *_ISSUER)


class About:
    """Answers every path that is no object's."""

    def __init__(self, api: Api, issuer: Tokens | None, catalog: Catalog, health: Mapping[str, checks.Check]) -> None:
        self._api, self._issuer, self._catalog, self._health = api, issuer, catalog, health
        self._openapi = Pages(catalog)

    async def answer(self, user: User, request: Request) -> Answer:
        """errors.Forbidden, NotFound and MethodNotSupported as for objects."""
        path = request.path.rstrip("/") or "/"
        verb = "get" if request.method == "HEAD" else request.method.lower()
        if not self._api.authorizer.decides_path(user, verb, path):
            raise errors.Forbidden(f'forbidden: User "{user.name}" cannot {verb} path "{path}"')
        if request.method not in ("GET", "HEAD"):
            raise paths.not_allowed()
        if checks.names(path):
            found = await checks.answer(path, request, self._checks(path))
            if found is None:
                raise paths.not_found()
            return found
        if path == "/version":
            return Answer(200, documents.dumped(version()))
        if path == "/metrics":
            return _metrics(request)
        if path.startswith("/openapi/"):
            return await self._openapi.answer(path, request)
        return self._documents(path, request)

    def _checks(self, path: str) -> Mapping[str, checks.Check]:
        """A server that starts or stops is alive and not ready."""
        ready = path.startswith("/readyz")
        return {name: check for name, check in self._health.items() if ready or name != "shutdown"}

    def _documents(self, path: str, request: Request) -> Answer:
        if path == "/":
            return Answer(200, documents.dumped({"paths": self._paths()}))
        if path in _ISSUER:
            return self._issuer_says(path)
        form = discovery.wanted(request.headers.get("accept", ""))
        found = discovery.document(self._catalog, path, form)
        if found is None:
            raise paths.not_found()
        return found.answer(request)

    def _issuer_says(self, path: str) -> Answer:
        """How others verify service accounts' tokens (OpenID Connect Discovery 1.0)."""
        if self._issuer is None:
            raise paths.not_found()
        headers = [("Cache-Control", "public, max-age=3600")]
        if path == _KEY_SET:
            return Answer(200, documents.dumped(self._issuer.key_set()), "application/jwk-set+json", headers)
        config = self._api.config
        uri = f"https://{config.advertise_address}:{config.secure_port}{_KEY_SET}"
        return Answer(200, documents.dumped(self._issuer.discovery(uri)), media.JSON, headers)

    def _paths(self) -> list[str]:
        """What can be asked for, for people who look."""
        served = [f"/{one.path}" for one in self._catalog.versions()]
        groups = [f"/apis/{group}" for group in self._catalog.groups() if group]
        single = [f"{root}/{name}" for root in checks.ROOTS for name in self._checks(root)]
        return sorted(["/api", "/apis", *served, *groups, *_PAGES, *single])


@functools.cache
def version() -> dict[str, str]:
    """What /version answers. The compiler is Python, and nothing was built."""
    found = apiserver.GetVersionResponse.FromString(about.version_bytes())
    major, minor = found.git_version.removeprefix("v").split(".")[:2]
    return {
        "major": major, "minor": minor, "emulationMajor": major, "emulationMinor": minor,
        "minCompatibilityMajor": major, "minCompatibilityMinor": str(int(minor) - 1), "gitVersion": found.git_version,
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
        "compiler": f"python {found.python_version}", "platform": found.platform,
    }  # fmt: skip


def _metrics(request: Request) -> Answer:
    from prometheus_client import REGISTRY, exposition

    encode, content_type = exposition.choose_encoder(request.headers.get("accept", ""))
    return Answer(200, encode(REGISTRY), content_type)
