"""A directory of one run's own, with room for its store."""

import tempfile
from pathlib import Path

from ftvm.errors import UsageError

_STORE_BYTES = 1 << 16


def make_run_directory() -> tempfile.TemporaryDirectory[str]:
    """Make the run's directory, with room for its store; UsageError if there is none."""
    directory = None
    try:
        directory = tempfile.TemporaryDirectory(prefix="ftvm-")
        # A full disk shows here, and not as a store that cannot be reached.
        Path(directory.name, "room").write_bytes(bytes(_STORE_BYTES))
    except OSError as error:
        if directory is not None:
            directory.cleanup()
        place = tempfile.gettempdir() if directory else "any temporary directory"
        raise UsageError(f"cannot write to {place}: {error.strerror}; set TMPDIR") from None
    return directory
