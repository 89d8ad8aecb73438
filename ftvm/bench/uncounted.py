"""ftvm's core without counting: what counting could cost at most.

`python -m ftvm.bench.uncounted IMAGE OPTIONS` boots an image; standard output is its
console. Interrupts are not taken, for nothing but its output ever ends a slice.
"""

import os
import sys
from pathlib import Path

from ftvm.bench.rivals import MEMORY_MB
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.machine import Machine, MachineConfig

_EPOCH_S = 1_000_000_000
_MEMORY_BYTES = MEMORY_MB << 20


def main() -> int:
    """Boot the image and run it until it writes to the exit port; returns what it wrote."""
    image, options = Path(sys.argv[1]), sys.argv[2]
    machine = Machine(MachineConfig(memory_bytes=_MEMORY_BYTES, epoch_s=_EPOCH_S))
    machine.boot(load(image.read_bytes(), _MEMORY_BYTES, options, image.stem))
    machine.cpu.set_uncounted()
    while machine.exit_value is None:
        machine.run()
        for output in machine.take_outputs():
            os.write(1, output.data)
    return machine.exit_value


if __name__ == "__main__":
    sys.exit(main())
