"""Who a request is from, said in headers by a server that has a certificate of the front proxy's authority.

This server says so to aggregated ones; they learn what to check from a config map. It takes the same from a proxy
before itself, whose certificate counts for nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID
from raftsman.core import v1 as core
from raftsman.services.apiserver.access.identity import AUTHENTICATED, User
from raftsman.services.apiserver.config import Config

CONFIG_MAP = ("kube-system", "extension-apiserver-authentication")
USER, UID, GROUP, EXTRA = "X-Remote-User", "X-Remote-Uid", "X-Remote-Group", "X-Remote-Extra-"
_ALL = tuple(name.lower() for name in (USER, UID, GROUP, EXTRA))


class FrontProxy:
    """Tells certificates of the front proxy's authority from those of the cluster's."""

    def __init__(self, config: Config) -> None:
        self._names = config.requestheader_allowed_names
        path = config.requestheader_client_ca_file
        self._authorities = x509.load_pem_x509_certificates(Path(path).read_bytes()) if path else []

    def issued(self, certificate: bytes | None) -> x509.Certificate | None:
        """The certificate (DER) if the front proxy's authority signed it."""
        if not certificate or not self._authorities:
            return None
        found = x509.load_der_x509_certificate(certificate)
        return found if any(_signed(found, authority) for authority in self._authorities) else None

    def trusts(self, certificate: x509.Certificate) -> bool:
        """Whether it may say who a request is from: its name is allowed, or any is."""
        names = [one.value for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        return not self._names or any(name in self._names for name in names)


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    if certificate.issuer != authority.subject:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def told(headers: Iterable[tuple[str, str]]) -> User | None:
    """Who such headers (names in lower case) say a request is from; None if they name nobody."""
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for key, value in headers:
        if key == USER.lower():
            name = name or value
        elif key == UID.lower():
            uid = uid or value
        elif key == GROUP.lower():
            groups.append(value)
        elif key.startswith(EXTRA.lower()):
            extra.setdefault(unquote(key.removeprefix(EXTRA.lower())), []).append(value)
    if not name:
        return None
    groups += [] if AUTHENTICATED in groups or name == "system:anonymous" else [AUTHENTICATED]
    return User(name, tuple(groups), uid, {key: tuple(values) for key, values in extra.items()})


def saying(user: User) -> Iterator[tuple[str, str]]:
    """The headers that say so."""
    yield USER, user.name
    if user.uid:
        yield UID, user.uid
    for group in user.groups:
        yield GROUP, group
    for key, values in user.extra.items():
        for value in values:
            yield EXTRA + quote(key, safe="!#$&'*+-.^_`|~"), value


def is_one(name: str) -> bool:
    """Whether a header, in lower case, is one of these: a client's own never get through."""
    return name in _ALL or name.startswith(EXTRA.lower())


def config_map(config: Config) -> core.ConfigMap:
    """From which aggregated servers learn whom to believe."""
    found = core.ConfigMap()
    found.metadata.namespace, found.metadata.name = CONFIG_MAP
    if config.client_ca_file:
        found.data["client-ca-file"] = Path(config.client_ca_file).read_text()
    if config.requestheader_client_ca_file:
        found.data.update({
            "requestheader-client-ca-file": Path(config.requestheader_client_ca_file).read_text(),
            "requestheader-allowed-names": json.dumps(list(config.requestheader_allowed_names)),
            "requestheader-username-headers": json.dumps([USER]),
            "requestheader-uid-headers": json.dumps([UID]),
            "requestheader-group-headers": json.dumps([GROUP]),
            "requestheader-extra-headers-prefix": json.dumps([EXTRA]),
        })  # fmt: skip
    return found
