"""The files that a run is recorded into: checked before it, put in order behind it."""

import os
from pathlib import Path

from ftvm.errors import UsageError
from ftvm.log.run_format import DIVERGED
from ftvm.runtime.replica import Replica
from ftvm.runtime.run_spec import RunSpec
from ftvm.ui.notices import Notices
from ftvm.ui.record_options import claim_recording


class Recordings:
    """Each replica of a pair records into a file of its own, `RUN.a` and `RUN.b`.

    At the end `RUN` is that of the replica that saw the end, and the others go,
    except where they have something that it has not.
    """

    def __init__(self, spec: RunSpec) -> None:
        """Raises UsageError if there is no place for them."""
        self._spec = spec
        self._target = spec.record
        if self._target is not None:
            claim_recording(self._target)
            for name in ("a", "b"):
                claim_recording(self._path(name))

    def settle(self, replicas: list[Replica], notices: Notices) -> None:
        """Leave what the run was recorded into under the name that was asked for."""
        if self._target is None:
            return
        try:
            self._settle(self._target, replicas, notices)
        except OSError as error:
            raise UsageError(f"cannot write the recording {self._target}: {error}") from None

    def _settle(self, target: Path, replicas: list[Replica], notices: Notices) -> None:
        survivor = _survivor(replicas)
        if self._spec.solo:
            return
        if survivor is None:
            target.unlink()
            kept = " and ".join(self._others(replicas, None))
            notices.info(f"the recordings break off where their replicas died: {kept}")
            return
        os.replace(self._path(survivor.name), target)
        if survivor.was_recruit:
            kept = " and ".join(self._others(replicas, survivor))
            notices.info(f"{target} begins where its replica joined; what was before is in {kept}")
        for replica in replicas:
            path = self._path(replica.name)
            if _differs(replica, survivor):
                notices.info(f"ftvm diff {target} {path} finds the first instruction that differs")
            elif not survivor.was_recruit:  # it has recorded since the boot, so it has all of it
                path.unlink(missing_ok=True)

    def _others(self, replicas: list[Replica], survivor: Replica | None) -> list[str]:
        paths = [self._path(replica.name) for replica in replicas if replica is not survivor]
        return [str(path) for path in paths if path.exists()]

    def _path(self, name: str) -> Path:
        path = self._spec.recording_of(name)
        assert path is not None
        return path


def _differs(replica: Replica, survivor: Replica) -> bool:
    if replica.over is None or replica.totals is None or survivor.totals is None:
        return False
    if replica.over.cause:
        return replica.over.cause == DIVERGED
    return replica.totals.digest != survivor.totals.digest


def _survivor(replicas: list[Replica]) -> Replica | None:
    """The replica whose recording goes to the end."""
    ended = [
        (replica.totals.count, replica.role == "primary", index)
        for index, replica in enumerate(replicas)
        if replica.totals is not None and replica.over is not None and not replica.over.cause
    ]
    return replicas[max(ended)[2]] if ended else None
