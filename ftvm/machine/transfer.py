"""A running machine's state, piece by piece, and a machine from the pieces.

The sender reads memory in rounds while the guest runs on: the first round is
every page that is not all zeros and every sector that was written to a disk, each
later one what was written during the round before; what was written again before
its turn waits for the next round. Each round begins with a checkpoint, which is in the log like any
other, so whatever replays that log empties its TLB there too. When what is
left is small enough to be sent while the guest stands still, `finish` sends it
with registers, devices and count. A guest that writes faster than its pages
can be sent is slowed down (`allowance`) until they can.

A piece is a byte that says what it is, and then:

    H  the machine's configuration, in MessagePack; first, and once
    P  three numbers of four bytes, little-endian: n pages with content, z pages of
       zeros, and how many pages are left behind them, as far as is known by then;
       n + z page numbers of four bytes; n times the content of a page
    S  three numbers of four bytes, little-endian: the drive, n sectors, and how many
       pages are left; n sector numbers of eight bytes; n times the content of a sector
    E  the rest, an `_End` in MessagePack; last, and once

Pages are not deflated: that is slower than a network is.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ftvm.errors import StateError
from ftvm.machine.disk import SECTOR_BYTES, OpenImages, no_images
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.machine.plain import decode_plain, encode_plain
from ftvm.machine.state import (
    DiskSectors,
    MachineState,
    check_config,
    check_state,
    describe,
    resume,
    spans,
    write_sectors,
)
from ftvm.units import PAGE_BYTES, GuestPhysical

PIECE_PAGES = 60
"""Pages in a piece: 240 KiB, near the most a message holds, are some 0.2 ms of work for either
side."""

REST_PAGES_MAX = 512
"""Pages that may be left for the pause: 2 MiB take a few milliseconds."""

PIECE_SECTORS = 480
"""Sectors in a piece, as many bytes."""

PUMP_PIECES = 8
"""Pieces to send between two turns of the guest."""

ALLOWANCE_MIN = 64
"""Fewest instructions of a guest that is slowed down, in one turn: even if each writes two pages,
that is less than `PUMP_PIECES` pieces take along."""

_SETTLE_PIECES = 64
_SECTORS_PER_PAGE = PAGE_BYTES // SECTOR_BYTES
_COUNTS = struct.Struct("<III")
_ZEROS = bytes(PAGE_BYTES)


@dataclass(frozen=True)
class _End:
    """What makes the pages a machine, and the digest that this machine must have."""

    state: MachineState
    state_digest: bytes


class StateSender:
    """Sends one machine's state; all calls come while the machine does not run."""

    def __init__(self, machine: Machine, rest_pages_max: int = REST_PAGES_MAX) -> None:
        """Begin the first round: the machine makes a checkpoint."""
        self._machine = machine
        self._rest_pages_max = rest_pages_max
        machine.checkpoint()
        machine.cpu.take_unsent()
        self._pages = machine.cpu.used_pages()
        self._zeros: Sequence[int] = ()
        self._at = 0
        for disk in machine.disks:
            disk.take_unsent()
        self._sectors = [disk.written for disk in machine.disks]
        self._round_pages = self._left_of_round
        self._round_count = machine.count
        self._round_dirtied = machine.cpu.dirtied_pages
        self._header: bytes | None = b"H" + encode_plain(machine.config)
        self.ready = False
        """Whether the rest is small enough to be sent while the guest stands still."""
        self.allowance: int | None = None
        """Instructions that the guest may execute for each `PUMP_PIECES` sent; None for any."""
        self.rounds = 1
        self.pages = 0
        """Pages sent so far, one that was sent twice counted twice."""

    def next_piece(self) -> bytes | None:
        """Return the next piece; None when it is time to `finish`."""
        if self._header is not None:
            header, self._header = self._header, None
            return header
        while (piece := self._next_of_round()) is None:
            if self._unsent_pages() <= self._rest_pages_max:
                self.ready = True
                return None
            self._next_round()
        return piece

    def finish(self) -> list[bytes]:
        """Return the last pieces; whatever the machine does next is for the log to tell."""
        pieces = [] if self._header is None else [self._header]
        while (piece := self._next_of_round()) is not None:
            pieces.append(piece)
        self._machine.checkpoint()
        self._take_written()
        while (piece := self._next_of_round()) is not None:
            pieces.append(piece)
        end = _End(describe(self._machine), self._machine.state_digest())
        return [*pieces, b"E" + encode_plain(end)]

    def _take_written(self) -> None:
        self._pages, self._zeros = self._machine.cpu.take_unsent()
        self._at = 0
        self._sectors = [disk.take_unsent() for disk in self._machine.disks]

    def _unsent_pages(self) -> int:
        """Pages written since this round began; sectors count as so many of them."""
        sectors = sum(disk.unsent_sectors for disk in self._machine.disks)
        return self._machine.cpu.unsent_pages + sectors // _SECTORS_PER_PAGE

    @property
    def _left_of_round(self) -> int:
        """The same of what this round has still to send."""
        sectors = sum(map(len, self._sectors))
        pages = max(len(self._pages) - self._at, 0) + len(self._zeros)
        return pages + sectors // _SECTORS_PER_PAGE

    @property
    def left_pages(self) -> int:
        """The same of all that is to be sent, as far as is known by now."""
        return self._left_of_round + self._unsent_pages()

    def _next_round(self) -> None:
        self._machine.checkpoint()
        self._take_written()
        pages, dirtied = self._left_of_round, self._machine.cpu.dirtied_pages
        if 4 * pages > 3 * self._round_pages:
            self.allowance = self._slower(max(pages, dirtied - self._round_dirtied))
        self._round_pages, self._round_count = pages, self._machine.count
        self._round_dirtied = dirtied
        self.rounds += 1

    def _slower(self, written: int) -> int:
        """Half the pages sent between two turns, by what the guest did in this round.

        `written` counts a page once for each digest before which it was written, or one
        that goes through its memory again and again would seem to write little.
        """
        executed = self._machine.count - self._round_count
        slower = PUMP_PIECES * PIECE_PAGES // 2 * executed // written
        if self.allowance is not None:
            slower = min(slower, self.allowance // 2)
        return max(slower, ALLOWANCE_MIN)

    def _next_of_round(self) -> bytes | None:
        """The next piece of this round; what was written again is for the next one."""
        cpu = self._machine.cpu
        while self._at < len(self._pages):
            full = cpu.unwritten(self._pages[self._at : self._at + PIECE_PAGES])
            self._at += PIECE_PAGES
            if full:
                return self._piece(full, ())
        if self._zeros:
            zeros, self._zeros = self._zeros[:PIECE_PAGES], self._zeros[PIECE_PAGES:]
            return self._piece((), zeros)
        for drive, disk in enumerate(self._machine.disks):
            while self._sectors[drive]:
                some = disk.unwritten(self._sectors[drive][:PIECE_SECTORS])
                del self._sectors[drive][:PIECE_SECTORS]
                if some:
                    numbers = struct.pack(f"<{len(some)}Q", *some)
                    head = b"S" + _COUNTS.pack(drive, len(some), self.left_pages)
                    return b"".join((head, numbers, disk.content(some)))
        return None

    def _piece(self, full: Sequence[int], zeros: Sequence[int]) -> bytes:
        memory = self._machine.cpu.memory
        content = [memory[first:end] for first, end in spans(full)]
        self.pages += len(full) + len(zeros)
        numbers = struct.pack(f"<{len(full) + len(zeros)}I", *full, *zeros)
        counts = _COUNTS.pack(len(full), len(zeros), self.left_pages)
        return b"".join((b"P", counts, numbers, *content))


class StateReceiver:
    """Makes a machine of the pieces that a `StateSender` gives, in their order.

    Until the last piece has proved to be right there is no machine, and after
    an error there will be none.
    """

    def __init__(
        self, config: MachineConfig | None = None, open_images: OpenImages = no_images
    ) -> None:
        """Begin; with a `config`, refuse every other machine. `open_images` finds its images."""
        self._wanted = config
        self._open_images = open_images
        self._machine: Machine | None = None
        self._pieces = 0
        self._over = False
        self.pages = self.left_pages = 0
        """Pages received so far, and left as far as the sender knew."""

    def feed(self, piece: bytes) -> Machine | None:
        """Take the next piece; return the machine with the last one.

        Raises StateError, saying what is wrong, if that is no such piece or the
        machine is not the one that was sent.
        """
        if self._over:
            raise StateError("transfer: a piece after the end")
        try:
            machine = self._take(piece)
        except StateError:
            self._over, self._machine = True, None
            raise
        if machine is not None:
            self._over, self._machine = True, None
        return machine

    def _take(self, piece: bytes) -> Machine | None:
        kind, body = piece[:1], memoryview(piece)[1:]
        if self._machine is None:
            if kind != b"H":
                raise StateError("transfer: does not begin with a configuration")
            self._machine = self._make(bytes(body))
        elif kind == b"P":
            self._write(self._machine, body)
        elif kind == b"S":
            self._write_sectors(self._machine, body)
        elif kind == b"E":
            return self._end(self._machine, bytes(body))
        else:
            raise StateError(f"transfer: a piece of kind {kind!r}")
        return None

    def _make(self, body: bytes) -> Machine:
        config = decode_plain(body, MachineConfig, "transfer")
        if self._wanted not in (None, config):
            raise StateError("transfer: this machine is configured otherwise")
        check_config(config, "transfer")
        return Machine(config, self._open_images(config.disks))

    def _write(self, machine: Machine, body: memoryview) -> None:
        if len(body) < _COUNTS.size:
            raise StateError("transfer: a piece is cut off")
        full, zero, left = _COUNTS.unpack_from(body)
        content = _COUNTS.size + 4 * (full + zero)
        if not 0 < full + zero <= PIECE_PAGES or len(body) != content + full * PAGE_BYTES:
            raise StateError(f"transfer: {len(body)} bytes for {full} and {zero} pages")
        numbers = struct.unpack_from(f"<{full + zero}I", body, _COUNTS.size)
        if max(numbers) >= machine.config.memory_bytes // PAGE_BYTES:
            raise StateError(f"transfer: the machine has no page {max(numbers)}")
        for first, end in spans(numbers[:full]):
            page, content = body[content : content + end - first], content + end - first
            machine.cpu.write_memory(GuestPhysical(first), page)
        for number in numbers[full:]:
            machine.cpu.write_memory(GuestPhysical(number * PAGE_BYTES), _ZEROS)
        self.pages, self.left_pages = self.pages + full + zero, left
        self._pieces += 1
        if self._pieces % _SETTLE_PIECES == 0:  # or all is hashed during the sender's pause
            machine.cpu.synchronize()

    def _write_sectors(self, machine: Machine, body: memoryview) -> None:
        if len(body) < _COUNTS.size:
            raise StateError("transfer: a piece is cut off")
        drive, count, self.left_pages = _COUNTS.unpack_from(body)
        content = _COUNTS.size + 8 * count
        if drive >= len(machine.disks):
            raise StateError(f"transfer: the machine has no drive {drive}")
        if not 0 < count <= PIECE_SECTORS or len(body) != content + count * SECTOR_BYTES:
            raise StateError(f"transfer: {len(body)} bytes for {count} sectors")
        numbers = struct.unpack_from(f"<{count}Q", body, _COUNTS.size)
        write_sectors(machine.disks[drive], DiskSectors(numbers, bytes(body[content:])), "transfer")

    def _end(self, machine: Machine, body: bytes) -> Machine:
        end = decode_plain(body, _End, "transfer")
        if end.state.config != machine.config:
            raise StateError("transfer: begins with one configuration and ends with another")
        check_state(end.state, "transfer")
        resume(machine, end.state, "transfer")
        if machine.state_digest() != end.state_digest:
            raise StateError(
                f"transfer: the machine received is not the one sent, at count {end.state.count}"
            )
        return machine
