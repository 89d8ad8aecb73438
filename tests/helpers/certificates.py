"""Certificates as a site's own authority would issue them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ftvm.runtime.security import CertificateFiles

NOW = datetime.now(UTC)


class Authority:
    """Signs certificates, into a directory."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(self._sign(self._name, self._key.public_key(), True, 3650))

    def issue(
        self, name: str, days: int = 365, passphrase: bytes | None = None
    ) -> CertificateFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, private = (self._directory / f"{name}{end}" for end in (".pem", ".key"))
        certificate.write_bytes(self._sign(_named(name), key.public_key(), False, days))
        private.touch(mode=0o600)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(passphrase)
                if passphrase
                else serialization.NoEncryption(),
            )
        )
        return CertificateFiles(certificate, private, self.path)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, ca: bool, days: int
    ) -> bytes:
        start = NOW - timedelta(days=1000)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(NOW + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
