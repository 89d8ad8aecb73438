"""What a backup leaves when it is found to differ: two recorded runs, to be compared.

They begin at the last digest that was equal. `primary.run` is what the primary
has done since, by the log that it sent; `backup.run` is this machine, up to the
state that it was found in.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ftvm.log.last_equal import Replica
from ftvm.replication.settings import Identity
from ftvm.runtime import control
from ftvm.runtime.clock import now_ns
from ftvm.runtime.guest import Guest
from ftvm.runtime.run_recorder import describe_run, planted_flips

PRIMARY_RUN, BACKUP_RUN = "primary.run", "backup.run"

_CANNOT = "; so where the replicas part cannot be found"


def leave_evidence(
    config: control.NodeConfig,
    identity: Identity,
    guest: Guest,
    primary: str,
    tell: Callable[[control.Told], None],
) -> None:
    """Write the two of a backup that has diverged, in a directory of their own, and tell of it."""
    if guest.last_equal is None:
        return
    if not guest.last_equal.is_whole:
        tell(control.Refused(f"{config.name} was not equal for long enough{_CANNOT}"))
        return
    ours = Replica(describe_run(config, identity, guest), guest.planted)
    # Whoever joined later joined another primary, or one that has its flips behind it.
    flips = planted_flips(config, "primary") if config.role == "backup" else ()
    theirs = Replica(replace(ours.header, node=primary), flips)
    straight, bent = guest.last_equal.recordings(theirs, ours, now_ns())
    name = f"ftvm-divergence-{ours.header.run.hex()[:8]}-{guest.machine.count}"
    tell(_write(Path(config.evidence), name, {PRIMARY_RUN: straight, BACKUP_RUN: bent}))


def _write(place: Path, name: str, files: dict[str, bytes]) -> control.Told:
    """Write the files to a new directory, there or with temporary files."""
    failure = ""
    for directory in (place / name, Path(tempfile.gettempdir(), name)):
        try:
            directory.mkdir(exist_ok=True)
            for file, content in files.items():
                (directory / file).write_bytes(content)
        except OSError as error:
            failure = f"cannot write {error.filename or directory}: {error.strerror}"
        else:
            return control.Evidence(str(directory))
    return control.Refused(f"{failure}{_CANNOT}")
