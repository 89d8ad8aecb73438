"""A guest of a few lines with everything that makes replication hard.

It keeps a number and adds 1 for each `i`; every answer carries a byte of
randomness, it ticks on its own, echoes input the moment it arrives (an output
made by an event, not by an instruction), and sleeps until an event wakes it
(so that events fall on a count where a mark was sent already). It has a few
pages of memory that it writes to and reads from. Whatever it puts out depends
on all of its past: two runs that differ anywhere soon differ in their output.
"""

import struct
from collections import deque
from random import Random
from typing import Any

from ftvm.errors import DivergenceError
from ftvm.simulation.guest import Draw, Past
from ftvm.units import Nanoseconds

MASK = 0xFFFFFFFF
EVENT = struct.Struct(">cI")
DIGEST_EVERY = 32
PAGES = 10


class ModelGuest:
    """Lives on `draw` (then it writes its log) or, without, on a log that is fed to it."""

    def __init__(self, draw: Draw | None = None) -> None:
        self.draw = draw
        self.count = 0
        """Instructions executed."""
        self.number = 0
        self.asleep = False
        self.status: int | None = None
        self.log = bytearray()
        self.used = 0
        self.output = bytearray()
        self.taken = bytearray()
        self.made: list[tuple[int, int, bytes]] = []
        self.took: list[tuple[int, int, int]] = []
        self.pages = [0] * PAGES
        self.dirty: set[int] = set()
        """Pages written since a transfer last looked."""
        self._mix = 1
        self._fifo: deque[int] = deque()
        self._printing: deque[int] = deque()

    # --- live ------------------------------------------------------------------------

    def go_live(self, draw: Draw, now: Nanoseconds) -> None:
        """Switch from log to world."""
        assert self.used == len(self.log)
        self.draw = draw

    def pass_time(self, now: Nanoseconds, random: Random) -> None:
        """Perhaps wake it: its timer knows no clock."""
        if self.asleep and random.random() < 0.4:
            self.tick()

    def run(self, limit: int) -> None:
        """Execute up to `limit`, or until it sleeps or ends."""
        while self.count < limit and not self.asleep and self.status is None:
            self._step()
            if self.count % DIGEST_EVERY == 0:
                self.checkpoint()

    def inject(self, data: bytes) -> None:
        """Give it input."""
        self._append(EVENT.pack(b"I", self.count) + bytes([len(data)]) + data)
        self._apply_input(data)

    def tick(self) -> None:
        """Let its timer go off."""
        assert self.draw is not None
        value = self.draw()
        self._append(EVENT.pack(b"T", self.count) + bytes([value]))
        self._apply_timer(value)

    def checkpoint(self) -> None:
        """Log a digest."""
        self._append(EVENT.pack(b"D", self.count) + self.digest())

    # --- the state, without pages and without what is there for the oracle only ------

    def registers(self) -> list[Any]:
        """Return all of its state that is not in pages."""
        return [
            self.count, self.number, self.asleep, self.used, self._mix,
            list(self._fifo), list(self._printing),
        ]  # fmt: skip

    def past(self) -> Past:
        """Return what led to where it is."""
        return Past(bytes(self.log), bytes(self.output), bytes(self.taken))

    def resume(self, registers: list[Any], pages: list[int], past: Past) -> None:
        """Begin with a state and what led to it."""
        self.count, self.number, self.asleep, self.used, self._mix, fifo, printing = registers
        self._fifo, self._printing = deque(fifo), deque(printing)
        self.pages = pages
        self.log, self.output = bytearray(past.log), bytearray(past.output)
        self.taken = bytearray(past.taken)

    # --- replay ----------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Give it log."""
        self.log += data

    def replay(self, limit: int) -> None:
        """Execute the log up to `limit` and apply all events that fall there."""
        while True:
            while self._apply_event():
                pass
            if self.count >= limit:
                return
            if self.asleep or self.status is not None:
                raise DivergenceError(f"nothing to execute at {self.count}, before {limit}")
            self._step()

    def _apply_event(self) -> bool:
        log, at = self.log, self.used
        if at >= len(log) or log[at : at + 1] == b"R":
            return False
        kind, count = EVENT.unpack_from(log, at)
        if count > self.count:
            return False
        if count < self.count:
            raise DivergenceError(f"event for {count} at {self.count}")
        at += EVENT.size
        if kind == b"I":
            data = bytes(log[at + 1 : at + 1 + log[at]])
            self.used = at + 1 + len(data)
            self._apply_input(data)
        elif kind == b"T":
            self.used = at + 1
            self._apply_timer(log[at])
        else:
            self.used = at + 4
            if log[at : at + 4] != self.digest():
                raise DivergenceError(f"digest differs at {self.count}")
        return True

    # --- the machine -----------------------------------------------------------------

    def corrupt(self) -> None:
        """Flip a bit of what it knows."""
        self.number ^= 64

    def digest(self) -> bytes:
        """Return a digest of its state, 4 bytes."""
        state = (self._mix, self.number, len(self.output), len(self.taken), self.asleep)
        total = 0
        for part in (*state, *self._fifo, *self._printing, *self.pages):
            total = (total * 31 + part + 1) & MASK
        return total.to_bytes(4, "big")

    def _step(self) -> None:
        self.count += 1
        self._mix = (self._mix * 1103515245 + 12345 + self.number) & MASK
        page = (self._mix >> 9) % PAGES
        self.pages[page] = (self.pages[page] * 33 + self.count) & MASK
        self.dirty.add(page)
        self._mix ^= self.pages[(self._mix >> 17) % PAGES] >> 5
        if self._printing:
            self._put(bytes([self._printing.popleft()]))
        elif self._fifo:
            key = self._fifo.popleft()
            if key == ord("i"):
                self.number += 1
                random = self._result()
                self._printing.extend(b"%d:%02x\n" % (self.number, random))
            elif key == ord("q"):
                self.status = self.number & 0xFF
        elif self.count % 16 == 0:
            self._printing.extend(b".%x" % (self._mix >> 28))
        elif self.count % 8 == 0:
            self._result()
        elif self.count % 64 == 63:
            self.asleep = True

    def _result(self) -> int:
        if self.draw is not None:
            value = self.draw()
            self._append(bytes([ord("R"), value]))
        else:
            entry = self.log[self.used : self.used + 2]
            if len(entry) < 2 or entry[0] != ord("R"):
                raise DivergenceError(f"no result in the log at {self.count}")
            self.used += 2
            value = entry[1]
        self._mix ^= value << 13
        return value

    def _apply_input(self, data: bytes) -> None:
        self.asleep = False
        self.taken += data
        self._fifo.extend(data)
        self.took.append((len(self.taken), self.count, self.used))
        self._put(b"<%x" % (self._mix >> 28))

    def _apply_timer(self, value: int) -> None:
        self.asleep = False
        self._mix ^= value << 21
        self._put(b"t%x" % (self._mix >> 28))

    def _append(self, entry: bytes) -> None:
        self.log += entry
        self.used += len(entry)

    def _put(self, data: bytes) -> None:
        self.output += data
        self.made.append((self.count, self.used, data))
