"""Writes a run as frames: what a machine logs, now and then the machine itself, its end.

Bytes go to the function that is handed in, in order and without gaps. Whoever
calls decides when: what was handed over and not yet written is lost in a crash.
"""

import hashlib
from collections.abc import Callable

from ftvm.log.frames import Kind, encode_frame, encode_start
from ftvm.log.run_format import (
    CheckpointFrame,
    CheckpointPlace,
    DiskFrame,
    Flip,
    LogFrame,
    Moment,
    RunEnd,
    RunHeader,
    Stand,
    What,
    encode_checkpoint,
    encode_disk,
    encode_end,
    encode_flip,
    encode_header,
    encode_log,
    encode_moments,
)
from ftvm.machine import snapshot
from ftvm.machine.disk import SECTOR_BYTES
from ftvm.machine.machine import DIGEST_BYTES, Machine
from ftvm.units import InstructionCount, LogPosition, Nanoseconds, Sector, StreamOffset

_TOGETHER_NS = 1_000_000


class RunWriter:
    """Writes one recording of one machine.

    It has just begun to record or to replay, or was at `begin` and has its log since.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        header: RunHeader,
        machine: Machine,
        host_ns: Nanoseconds,
        begin: CheckpointFrame | None = None,
        meanwhile: Callable[[], None] = snapshot.nothing,
    ) -> None:
        self._write: Callable[[bytes], object] = write
        self._machine = machine
        self._meanwhile = meanwhile
        self._entries = bytearray()
        self._moments: list[Moment] = []
        self._position = LogPosition(0)
        self._output = StreamOffset(0)
        self._output_hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._mark: InstructionCount | None = None
        self._checkpoints: list[CheckpointPlace] = []
        self._planted: list[Flip] = []
        self._known: list[set[Sector]] = [set() for _ in machine.disks]
        self._read: list[dict[Sector, bytes]] = [{} for _ in machine.disks]
        start = encode_start()
        write(start)
        self._offset = len(start)
        self._put(Kind.HEADER, encode_header(header))
        if begin is None:
            self.write_checkpoint(host_ns)
        else:
            self._add(begin)

    @property
    def waiting_bytes(self) -> int:
        """Log that was handed over and is not written."""
        return len(self._entries)

    def logged(self, entries: bytes) -> None:
        """Take the next bytes of the log: whole entries."""
        self._entries += entries

    def put_out(self, data: bytes) -> None:
        """Take note of the next bytes of console output."""
        self._output = StreamOffset(self._output + len(data))
        self._output_hash.update(data)

    def read_image(self, drive: int, first: Sector, data: bytes) -> None:
        """Take note of what the machine has read of a drive's image, if that is new."""
        known, waiting = self._known[drive], self._read[drive]
        for at in range(0, len(data), SECTOR_BYTES):
            sector = Sector(first + at // SECTOR_BYTES)
            if sector not in known:
                known.add(sector)
                waiting[sector] = data[at : at + SECTOR_BYTES]

    def plant(self, flip: Flip) -> None:
        """Write that a bit will be turned over; it comes before the log that leads there."""
        self._planted.append(flip)
        self._put(Kind.FLIP, encode_flip(flip))

    def _write_read(self) -> None:
        for drive, waiting in enumerate(self._read):
            if waiting:
                frame = DiskFrame(drive, tuple(waiting), b"".join(waiting.values()))
                self._put(Kind.DISK, encode_disk(frame))
                waiting.clear()

    def happened(self, moment: Moment) -> None:
        """Take note of something between the replicas; bytes let out together are one."""
        last = self._moments[-1] if self._moments else moment
        together = moment.host_ns - last.host_ns < _TOGETHER_NS
        if self._moments and last.what == moment.what == What.RELEASED and together:
            self._moments.pop()
        self._moments.append(moment)

    def write_log(self, host_ns: Nanoseconds, waiting: int = 0) -> None:
        """Write the log up to where the machine is; the last `waiting` bytes are for later."""
        count = self._machine.count
        length = len(self._entries) - waiting
        self._write_read()
        if length or count != self._mark:
            entries = bytes(self._entries[:length])
            log = LogFrame(count, host_ns, self._output, entries)
            self._put(Kind.LOG, encode_log(log))
            del self._entries[:length]
            self._position = LogPosition(self._position + length)
            self._mark = count
        if self._moments:
            self._put(Kind.PAIR, encode_moments(self._moments))
            self._moments.clear()

    def write_checkpoint(self, host_ns: Nanoseconds) -> None:
        """Write the machine's state; all log is written.

        Only where the machine was synchronised at this count anyway: at its
        beginning and right behind a digest.
        """
        stand = Stand(self._machine.count, self._position, self._output)
        bases = self._machine.cpu.log_bases
        state = snapshot.take(self._machine, self._meanwhile)
        self._add(CheckpointFrame(stand, host_ns, bases, state))

    def _add(self, checkpoint: CheckpointFrame) -> None:
        stand = checkpoint.stand
        self._checkpoints.append(CheckpointPlace(stand.count, stand.position, self._offset))
        self._put(Kind.CHECKPOINT, encode_checkpoint(checkpoint))

    def write_end(self, how: str, exit_status: int, host_ns: Nanoseconds) -> None:
        """Write how it ended, and the index; all log is written."""
        end = RunEnd(
            how=how,
            exit_status=exit_status,
            count=self._machine.count,
            digest=self._machine.state_digest(),
            output=self._output,
            output_hash=self._output_hash.digest(),
            position=self._position,
            host_ns=host_ns,
            checkpoints=tuple(self._checkpoints),
            planted=tuple(self._planted),
        )
        self._put(Kind.END, encode_end(end, self._offset))

    def _put(self, kind: Kind, body: bytes) -> None:
        frame = encode_frame(kind, body, self._offset)
        self._write(frame)
        self._offset += len(frame)
