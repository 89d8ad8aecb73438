"""Who may speak on the logging and console channels: whoever proves the pair's secret.

Both ways end in TLS 1.3 with certificates on both sides:

- A *shared key* is made into an Ed25519 key pair, the same in all who have it,
  with a certificate that it signs itself. Either side accepts exactly that
  public key. Nothing here depends on a clock or a name.
- *Certificates* that are given come with the authority that signed them.
  Either side accepts whoever that authority signed, while it is valid, so the
  authority must be for the pair alone.

docs/security.md tells why it is done so.
"""

import hmac
import os
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

from ftvm.errors import HostError, UsageError
from ftvm.runtime.key_file import KEY_BYTES, read_private_file

_DERIVATION = b"ftvm pair identity 1"
"""What the key is derived for (RFC 5869 §3.2); the number grows with any change of the scheme."""
_NAME = "ftvm pair"
# RFC 5280 §4.1.2.5: the end of time, of a certificate that has no expiry.
_VALID_FROM = datetime(1970, 1, 1, tzinfo=UTC)
_VALID_UNTIL = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True)
class CertificateFiles:
    """A node's certificate and private key, and the authority of all peers; PEM."""

    certificate: Path
    private_key: Path
    authority: Path


@dataclass(frozen=True)
class Security:
    """What a process needs to prove itself and to check its peers."""

    listening: ssl.SSLContext = field(repr=False)
    connecting: ssl.SSLContext = field(repr=False)
    public_key: bytes | None = field(repr=False)
    """The one that every peer must have; None if the authority's word is enough."""

    def misfit(self, peer: ssl.SSLObject) -> str | None:
        """Return why a peer, whose handshake is complete, is none of the pair; None if it is."""
        certificate = peer.getpeercert(binary_form=True)
        if certificate is None:
            return "it has no certificate"
        if self.public_key is None:
            return None
        try:
            key = x509.load_der_x509_certificate(certificate).public_key()
        except ValueError:
            return "its certificate cannot be read"
        if not isinstance(key, Ed25519PublicKey):
            return "its key is of another kind"
        if not hmac.compare_digest(key.public_bytes_raw(), self.public_key):
            return "its key is another"
        return None


def from_key(key: bytes) -> Security:
    """Return the security of all who share `key` (32 random bytes)."""
    if len(key) != KEY_BYTES:
        raise UsageError(f"key of {len(key)} bytes: give {KEY_BYTES}")
    identity = Ed25519PrivateKey.from_private_bytes(
        HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=_DERIVATION).derive(key)
    )
    certificate = _certify(identity)
    private = identity.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    security = Security(_listening(), _connecting(), identity.public_key().public_bytes_raw())
    for context in (security.listening, security.connecting):
        _load_identity(context, certificate + private)
        context.load_verify_locations(cadata=certificate.decode())
    return security


def from_files(files: CertificateFiles) -> Security:
    """Return the security of whom an authority signed; UsageError says what a file lacks."""
    private = read_private_file(files.private_key)
    certificate, authority = _read(files.certificate), _read(files.authority)
    security = Security(_listening(), _connecting(), None)
    for context in (security.listening, security.connecting):
        try:
            _load_identity(context, certificate + b"\n" + private)
        except (ssl.SSLError, UsageError) as error:
            why = error.reason if isinstance(error, ssl.SSLError) else error
            raise UsageError(
                f"{files.certificate} and {files.private_key} are no certificate with its key in"
                f" PEM: {plain_reason(why)}"
            ) from None
        try:
            context.load_verify_locations(cadata=authority.decode("ascii", "replace"))
        except (ssl.SSLError, ValueError) as error:
            raise UsageError(
                f"{files.authority} holds no certificate in PEM: {plain_reason(error)}"
            ) from None
    return security


def plain_reason(error: object) -> str:
    """Return what OpenSSL says in words: "no shared cipher" for ``NO_SHARED_CIPHER``."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    said = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
    return " ".join(said.split()).replace("_", " ").lower() or "no reason given"


def _listening() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # nobody comes back without proving himself again
    return _strict(context)


def _connecting() -> ssl.SSLContext:
    return _strict(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # a peer is who has the secret, wherever it is
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _certify(identity: Ed25519PrivateKey) -> bytes:
    """Return the certificate of a key by itself, in PEM; the same whoever makes it, and when."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(identity.public_key())
        .serial_number(1)
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(identity, algorithm=None)
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _load_identity(context: ssl.SSLContext, pem: bytes) -> None:
    """Give a context its certificate and key, by a file that never is on a disk."""

    def refuse_to_ask() -> str:
        raise UsageError("the key is encrypted, and there is nobody to ask for the passphrase")

    try:
        descriptor = os.memfd_create("ftvm identity", os.MFD_CLOEXEC)
    except OSError as error:
        raise HostError(f"cannot hold a key in memory: {error.strerror}") from None
    with open(descriptor, "wb", buffering=0) as file:
        file.write(pem)
        try:
            context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=refuse_to_ask)
        except FileNotFoundError:
            raise HostError("cannot load a key: there is no /proc here") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
