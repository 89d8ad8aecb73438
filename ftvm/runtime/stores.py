"""The test-and-set store as a directory that all hosts of a run share.

Who may run alone is decided here, so the store must never give one generation
to two owners, whatever is killed at whatever moment. It rests on one property
of POSIX file systems, NFS among them: link(2) makes a name or fails because
the name is there, never both. A generation is won by linking a file that is
already complete and on disk to the generation's name::

    DIR/pending-5f1c...    being written; nobody reads it, a killed process leaves it
    DIR/generation-000001  the boot: who ran first
    DIR/generation-000002  the first failover: who went on

Names are never removed or replaced; the highest one present is the current
generation. Who holds it is what the file says, not what link(2) returned: over
NFS the answer to a link that was made can get lost.
"""

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ftvm.errors import HostError, StateError, UsageError
from ftvm.replication.arbitration import Lost, Outcome, Unreachable, Won
from ftvm.units import Generation

OWNER_BYTES_MAX = 64
RUN_BYTES = 16

_NAME = re.compile(r"generation-([0-9]{6,18})", re.ASCII)
_CONTENT = re.compile(rb"ftvm store 1\ngeneration ([0-9]{1,18})\nrun ([0-9a-f]+)\nowner ([^\n]+)\n")
_CONTENT_BYTES_MAX = 256


class StoreUnreachableError(HostError):
    """The store did not answer: nobody may conclude anything from that, only wait."""


@dataclass(frozen=True)
class Holder:
    """Who holds the newest generation; generation 0 and no owner before the boot."""

    generation: Generation
    owner: str


class FileStore:
    """The store of one run, in a directory of its own.

    It is the `TestAndSet` that replicas arbitrate by. Every operation raises
    StateError if what is there was not written by this version for this run.
    """

    def __init__(self, path: Path, run: bytes) -> None:
        """Use the directory `path` for the run with the id `run` (16 bytes); touches no disk."""
        if len(run) != RUN_BYTES:
            raise UsageError(f"run id of {len(run)} bytes: give {RUN_BYTES}")
        self._path = path
        self._run = run

    def current(self) -> Holder:
        """Who holds the newest generation.

        Raises StoreUnreachableError if the file system refuses to say.
        """
        with self._reaching():
            return self._newest(Generation(0))

    def advance(self, expected: Generation, owner: str) -> Outcome:
        """Win the generation after `expected` for `owner`, or learn who did.

        `owner` names one process of the run, the same when it is restarted: who
        asks again for what it holds has won it. The directory is made for the
        boot, that is from generation 0. A win or loss is on disk on return; a
        store that lacks the expected generation is one that cannot be asked.
        """
        return outcome_of(self._advance, expected, owner)

    def _advance(self, expected: Generation, wanted: Holder) -> Holder:
        with self._reaching():
            if expected == 0:
                self._path.mkdir(exist_ok=True)
                _sync_directory(self._path.parent)
            holder = self._newest(expected)
            if holder.generation == expected:
                self._link(wanted)
                holder = self._newest(wanted.generation)
            # Losers too: what they are told must survive the host's power loss.
            _sync_directory(self._path)
            return holder

    def _newest(self, known: Generation) -> Holder:
        """Read the newest generation; `known` exists, however old a listing the host keeps."""
        numbers = [_number_of(name) for name in os.listdir(self._path)]
        return self._read(max([known, *numbers]))

    def _link(self, wanted: Holder) -> None:
        pending = self._path / f"pending-{secrets.token_hex(8)}"
        descriptor = os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with open(descriptor, "wb") as file:
                file.write(encode_holder(wanted, self._run))
                file.flush()
                os.fsync(descriptor)
            os.link(pending, self._path / _name_of(wanted.generation))
        except FileExistsError:
            # Somebody was first, or an earlier try of ours was: the content tells.
            pass
        finally:
            pending.unlink()

    def _read(self, generation: Generation) -> Holder:
        if generation == 0:
            return Holder(generation, "")
        path = self._path / _name_of(generation)
        with path.open("rb") as file:
            content = file.read(_CONTENT_BYTES_MAX + 1)
        holder = decode_holder(content, self._run, str(path))
        if holder.generation != generation:
            raise _damaged(str(path), holder)
        return holder

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = error.filename or self._path
            raise StoreUnreachableError(
                f"store {self._path} cannot be used: {place}: {error.strerror}"
            ) from error


def encode_holder(holder: Holder, run: bytes) -> bytes:
    """Return what a store keeps of a generation."""
    return (
        f"ftvm store 1\ngeneration {holder.generation}\nrun {run.hex()}\nowner {holder.owner}\n"
    ).encode()


def decode_holder(content: bytes, run: bytes, place: str) -> Holder:
    """Read what a store keeps at `place`; StateError if it is not of this version or run."""
    match = _CONTENT.fullmatch(content)
    if match is None:
        raise StateError(
            f"{place} was not written by this version of ftvm: give the run a new store"
        )
    number, found_run, owner_bytes = match.groups()
    if found_run != run.hex().encode():
        raise StateError(
            f"{place} belongs to the run {found_run.decode()}, not to {run.hex()}: give each "
            "run a store of its own"
        )
    holder = Holder(Generation(int(number)), owner_bytes.decode(errors="replace"))
    genuine = holder.generation > 0 and is_owner(holder.owner)
    if not genuine or content != encode_holder(holder, run):
        raise _damaged(place, holder)
    return holder


def _damaged(place: str, holder: Holder) -> StateError:
    return StateError(
        f"{place} says generation {holder.generation}, owner {holder.owner!r}: it is damaged; "
        "give the run a new store"
    )


def outcome_of(
    advance: Callable[[Generation, Holder], Holder], expected: Generation, owner: str
) -> Outcome:
    """Let a store `advance` from `expected` to `owner`; say what its answer means.

    ``advance`` returns who holds the newest generation then. UsageError if the
    owner's name is none that a store takes.
    """
    if not is_owner(owner):
        raise UsageError(f"owner {owner!r}: give a printable name of 1 to {OWNER_BYTES_MAX} bytes")
    wanted = Holder(Generation(expected + 1), owner)
    try:
        holder = advance(expected, wanted)
    except StoreUnreachableError as error:
        return Unreachable(str(error))
    return Won(holder.generation) if holder == wanted else Lost(holder.generation, holder.owner)


def is_owner(owner: str) -> bool:
    """Whether a store takes this name."""
    return owner.isprintable() and 0 < len(owner.encode()) <= OWNER_BYTES_MAX


def _name_of(generation: Generation) -> str:
    return f"generation-{generation:06d}"


def _number_of(name: str) -> Generation:
    """The generation that a file name stands for; 0 for any other file."""
    match = _NAME.fullmatch(name)
    number = Generation(int(match[1])) if match else Generation(0)
    return number if name == _name_of(number) else Generation(0)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
