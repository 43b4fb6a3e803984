"""Throwaway certificates of a test run: one CA, a server, clients, a key for service-account tokens."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """Writes `<name>.crt` and `<name>.key` into a folder."""

    def __init__(self, folder: Path, *, name: str = "test-ca") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._builder(self._name, self._key.public_key(), ca=True).sign(self._key, hashes.SHA256())
        self.ca_pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.ca = self._write("ca.crt", self.ca_pem)

    def issue(
        self, name: str, *, groups: tuple[str, ...] = (), file: str = "", host: str = "localhost"
    ) -> tuple[str, str]:
        """Paths of the certificate and the key of a client, or a server on 127.0.0.1 called `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._builder(subject, key.public_key(), ca=False, host=host).sign(self._key, hashes.SHA256())
        stem = file or name.replace(":", "-")
        return (
            self._write(f"{stem}.crt", certificate.public_bytes(serialization.Encoding.PEM)),
            self.private_key(stem, key),
        )

    def pems(self, name: str, *, host: str = "localhost") -> tuple[bytes, bytes]:
        """As `issue`, the files' contents."""
        cert, key = self.issue(name, host=host)
        return Path(cert).read_bytes(), Path(key).read_bytes()

    def private_key(self, stem: str, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        key = key or ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._write(f"{stem}.key", pem)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool, host: str = "localhost"
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        hour = datetime.timedelta(hours=1)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), now - hour, now + hour)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if ca:
            return builder
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName(host)])
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        return builder.add_extension(names, critical=False).add_extension(usages, critical=False)

    def _write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        return str(path)
