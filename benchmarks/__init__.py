"""How fast ftvm is, beside the stock engine and QEMU; run as ``python -m benchmarks``."""

import sys
from pathlib import Path

# `python -m` puts the project's root first, and the source tree there may have
# no built core: what is measured is the ftvm that is installed.
_ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _ROOT]
