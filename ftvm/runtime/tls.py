"""One end of one protected connection: bytes in, bytes out; the socket is the caller's.

What is sent before the peer has proven itself waits here, so that nobody else
ever gets a byte of it.
"""

import ssl

from ftvm.errors import ProtocolError, StrangerError
from ftvm.runtime.security import Security, plain_reason

HANDSHAKE_BYTES_MAX = 1 << 16
"""More than two certificates and their chains take."""

# RFC 8446 §5.1: the type of a record is its first byte; a conversation begins with one of these.
_ALERT, _HANDSHAKE = 0x15, 0x16
# §5.1 too: the most that a record holds. One is read at a time, so more room is only waste.
_RECORD_BYTES_MAX = 1 << 14
_FEED_BYTES = 1 << 16
"""Goes through the engine within a processor's cache, a quarter faster than 256 KiB."""


class TlsSession:
    """TLS with one peer, from the first byte on."""

    def __init__(self, security: Security, *, listening: bool) -> None:
        self._security = security
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._listening = listening
        self._tls: ssl.SSLObject | None = None
        self._heard_bytes = 0
        self._heard_plain = False
        """Whether the peer has said something, and so taken us for one of the pair."""
        self._waiting = bytearray()
        self.established = False
        """Whether the peer has proven itself."""
        self.ended = False
        """Whether the peer has said that nothing more comes."""
        if not listening:
            self._begin()
            self._shake_hands()

    @property
    def waiting_bytes(self) -> int:
        """What was sent and waits for the peer to prove itself."""
        return len(self._waiting)

    def send(self, data: bytes) -> None:
        """Send to the peer, once it has proven itself."""
        if self.established:
            self._write(data)
        else:
            self._waiting += data

    def outgoing(self) -> bytes:
        """Return what is to be written to the connection now."""
        return self._outgoing.read()

    def receive(self, data: memoryview) -> bytes:
        """Take what was read from the connection; return what the peer sent in it.

        Raises ProtocolError, saying why, if the peer is none of the pair or what
        comes is not from it. There may be something `outgoing` even then: a last
        word to the peer.
        """
        if self._tls is None:
            if data[0] not in (_ALERT, _HANDSHAKE):
                raise ProtocolError("it does not speak TLS")
            self._begin()
        pieces: list[bytes] = []
        for start in range(0, len(data), _FEED_BYTES):
            piece = data[start : start + _FEED_BYTES]
            self._incoming.write(piece)
            if not self.established:
                self._prove(len(piece))
            if self.established:
                self._read(pieces)
        self._heard_plain = self._heard_plain or bool(pieces)
        return b"".join(pieces)

    def _prove(self, heard_bytes: int) -> None:
        self._heard_bytes += heard_bytes
        self._shake_hands()
        if not self.established and self._heard_bytes > HANDSHAKE_BYTES_MAX:
            raise ProtocolError("its handshake has no end")

    def _begin(self) -> None:
        side = self._security.listening if self._listening else self._security.connecting
        self._tls = side.wrap_bio(self._incoming, self._outgoing, server_side=self._listening)

    def _shake_hands(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLCertVerificationError as error:
            with_key = self._security.public_key is not None
            reason = "its key is another" if with_key else plain_reason(error)
            raise StrangerError(f"its certificate is not the pair's: {reason}") from None
        except ssl.SSLError as error:
            raise StrangerError(f"no handshake: {plain_reason(error)}") from None
        if (why := self._security.misfit(self._tls)) is not None:
            raise StrangerError(why)
        self.established = True
        self._write(bytes(self._waiting))
        self._waiting.clear()

    def _write(self, data: bytes) -> None:
        assert self._tls is not None
        left = memoryview(data)
        while left:
            left = left[self._tls.write(left) :]

    def _read(self, pieces: list[bytes]) -> None:
        assert self._tls is not None
        try:
            while piece := self._tls.read(_RECORD_BYTES_MAX):
                pieces.append(piece)
                if not self._incoming.pending and not self._tls.pending():
                    return  # to be told so by an exception takes half as long as the reading
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as error:
            # To a peer that connected, the other side's refusal comes as an alert.
            kind = ProtocolError if self._heard_plain or pieces else StrangerError
            raise kind(f"broken off: {plain_reason(error)}") from None
        self.ended = True
