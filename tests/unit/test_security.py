"""Who has the pair's secret is one of the pair; nobody else is, whatever it shows."""

import os
import ssl
from datetime import datetime
from pathlib import Path

import pytest
from certificates import Authority

from ftvm.errors import ProtocolError, UsageError
from ftvm.runtime import security
from ftvm.runtime.security import CertificateFiles, Security
from ftvm.runtime.tls import HANDSHAKE_BYTES_MAX, TlsSession

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))


def converse(connecting: TlsSession, listening: TlsSession) -> tuple[bytes, bytes]:
    """Carry bytes both ways until nobody has more to say; return what each side heard."""
    heard = [b"", b""]
    moved = True
    while moved:
        moved = False
        for index, (sender, receiver) in enumerate(
            [(listening, connecting), (connecting, listening)]
        ):
            if data := sender.outgoing():
                moved = True
                heard[index] += receiver.receive(data)
    return heard[0], heard[1]


def meet(connecting: Security, listening: Security) -> tuple[TlsSession, TlsSession]:
    sides = TlsSession(connecting, listening=False), TlsSession(listening, listening=True)
    converse(*sides)
    return sides


def assert_pair(one: Security, other: Security) -> None:
    for a, b in ((one, other), (other, one)):
        connecting, listening = meet(a, b)
        assert connecting.established
        assert listening.established
        connecting.send(b"to the listener" * 5000)
        listening.send(b"to the connector")
        heard = converse(connecting, listening)
        assert heard == (b"to the connector", b"to the listener" * 5000)


def assert_strangers(one: Security, other: Security, said: str) -> None:
    for a, b in ((one, other), (other, one)):
        with pytest.raises(ProtocolError, match=said) as caught:
            meet(a, b)
        assert "\n" not in str(caught.value)


# The shared key.


def test_who_has_the_key_is_one_of_the_pair() -> None:
    assert_pair(security.from_key(KEY), security.from_key(KEY))


def test_who_has_another_key_is_none() -> None:
    one, other = security.from_key(KEY), security.from_key(OTHER_KEY)
    assert_strangers(one, other, "certificate is not the pair's")


def test_every_bit_of_the_key_counts() -> None:
    public_keys = {security.from_key(KEY).public_key}
    for bit in range(256):
        other = bytearray(KEY)
        other[bit // 8] ^= 1 << bit % 8
        public_keys.add(security.from_key(bytes(other)).public_key)
    assert len(public_keys) == 257


def test_derivation_stays_as_it_is() -> None:
    """Two versions of ftvm that derive otherwise could not pair up, and would not say why."""
    public_key = security.from_key(KEY).public_key
    assert public_key is not None
    assert public_key.hex() == "f82a99f26851c06f55cd78ea3e4ec1a30d560da255eec58c661c1c000cc94d87"


def test_secret_does_not_show_when_printed() -> None:
    shown = repr(security.from_key(KEY))
    assert KEY.hex() not in shown
    assert str(KEY) not in shown


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_key_of_another_length(length: int) -> None:
    with pytest.raises(UsageError, match="give 32"):
        security.from_key(bytes(length))


def test_key_pair_is_not_in_the_hands_of_an_authority(tmp_path: Path) -> None:
    assert_strangers(
        security.from_key(KEY),
        security.from_files(Authority(tmp_path, "ftvm pair").issue("ftvm")),
        "certificate is not the pair's",
    )


def test_certificate_signed_with_the_key_but_for_another(tmp_path: Path) -> None:
    """Even what OpenSSL would believe is refused if the public key is another."""
    pair, other = security.from_key(KEY), security.from_key(OTHER_KEY)
    gullible = Security(pair.listening, pair.connecting, other.public_key)
    assert_strangers(pair, gullible, "its key is another")
    given = security.from_files(Authority(tmp_path).issue("node"))
    gullible = Security(given.listening, given.connecting, pair.public_key)
    assert_strangers(given, gullible, "its key is of another kind")


@pytest.mark.parametrize("clock", ["1970-01-02", "2099-12-31", "9999-12-30"])
def test_no_clock_matters(clock: str) -> None:
    """Certificates are valid whatever a host believes the date to be."""
    context = security.from_key(KEY).listening
    (certificate,) = context.get_ca_certs()
    start, end = (ssl.cert_time_to_seconds(str(certificate[k])) for k in ("notBefore", "notAfter"))
    now = datetime.fromisoformat(clock + "T00:00:00+00:00").timestamp()
    assert start < now < end


# Certificates that are given.


def test_whom_the_authority_signed_is_one_of_the_pair(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = (security.from_files(authority.issue(name)) for name in ("one", "other"))
    assert_pair(one, other)


def test_whom_another_authority_signed_is_none(tmp_path: Path) -> None:
    one = security.from_files(Authority(tmp_path, "authority").issue("one"))
    (tmp_path / "other").mkdir()
    other = security.from_files(Authority(tmp_path / "other", "authority").issue("other"))
    assert_strangers(one, other, "certificate is not the pair's")


def test_certificate_that_has_expired(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other", days=-1)
    assert_strangers(
        security.from_files(one), security.from_files(other), "certificate has expired"
    )


def test_peer_without_a_certificate() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    anonymous = Security(context, context, None)
    with pytest.raises(ProtocolError, match="did not return a certificate"):
        meet(anonymous, security.from_key(KEY))


def test_older_tls() -> None:
    pair = security.from_key(KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ProtocolError, match=r"no handshake: (unsupported protocol|no shared)"):
        meet(Security(context, context, None), pair)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other")
    locked = authority.issue("locked", passphrase=b"secret")
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    missing = tmp_path / "missing"
    for certificate, private, trusted, said in (
        (one.certificate, other.private_key, one.authority, "key values mismatch"),
        (one.certificate, locked.private_key, one.authority, "encrypted"),
        (empty, one.private_key, one.authority, "no certificate with its key"),
        (one.certificate, empty, one.authority, "no certificate with its key"),
        (one.certificate, one.private_key, empty, "holds no certificate"),
        (missing, one.private_key, one.authority, "missing: No such file"),
        (one.certificate, missing, one.authority, "missing does not exist"),
        (one.certificate, one.private_key, missing, "missing: No such file"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            security.from_files(CertificateFiles(certificate, private, trusted))
        assert "\n" not in str(caught.value)


def test_private_key_that_others_may_read(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue("one")
    os.chmod(files.private_key, 0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        security.from_files(files)


# What is said, and when.


def test_nothing_is_said_to_who_has_not_proven_himself() -> None:
    pair = security.from_key(KEY)
    connecting = TlsSession(pair, listening=False)
    connecting.send(b"secret")
    assert connecting.waiting_bytes == 6
    first = connecting.outgoing()
    assert b"secret" not in first
    listening = TlsSession(pair, listening=True)
    assert listening.receive(first) == b""
    assert not listening.established
    assert converse(connecting, listening) == (b"", b"secret")
    assert connecting.waiting_bytes == 0


def test_a_handshake_without_an_end() -> None:
    session = TlsSession(security.from_key(KEY), listening=True)
    # A handshake record of the longest kind that says that the longest ClientHello begins.
    record = b"\x16\x03\x01\x40\x00" + b"\x01\x01\xff\xfc" + bytes(0x4000 - 4)
    records = record * (HANDSHAKE_BYTES_MAX // len(record) + 1)
    with pytest.raises(ProtocolError, match="handshake"):
        session.receive(records)


def test_a_changed_byte_ends_the_connection() -> None:
    sides = meet(security.from_key(KEY), security.from_key(KEY))
    sides[0].send(b"one")
    data = bytearray(sides[0].outgoing())
    data[-1] ^= 1
    with pytest.raises(ProtocolError, match="broken off"):
        sides[1].receive(bytes(data))
