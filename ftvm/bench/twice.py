"""The same guest twice at once, each alone: what the host has left for a pair.

`python -m ftvm.bench.twice IMAGE OPTIONS...` is `ftvm run --solo` with these options,
beside another one that nobody hears. Two processors that share caches, or are one
core's threads, are not twice as fast as one; that is no cost of fault tolerance.
"""

import subprocess
import sys

_COMMAND = (sys.executable, "-P", "-m", "ftvm", "run", "--solo")
_REPORT = "--report"


def main() -> int:
    """Run both until the one that is heard has ended; returns its exit status."""
    options = sys.argv[1:]
    unheard = list(options)
    if _REPORT in unheard:
        at = unheard.index(_REPORT)
        del unheard[at : at + 2]
    with subprocess.Popen(
        [*_COMMAND, *unheard], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as other:
        try:
            return subprocess.run([*_COMMAND, *options]).returncode
        finally:
            other.terminate()


if __name__ == "__main__":
    sys.exit(main())
