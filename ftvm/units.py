"""Guest and host quantities, as types of their own.

A number that counts guest instructions and a number that counts host
nanoseconds are both ``int`` at run time; giving each a ``NewType`` lets the
type checker refuse to mix them.
"""

from typing import NewType

InstructionCount = NewType("InstructionCount", int)
"""Engine steps since the guest's reset: an instruction, or one REP iteration."""

GuestPhysical = NewType("GuestPhysical", int)
"""A guest-physical address in bytes."""

Nanoseconds = NewType("Nanoseconds", int)
"""A span or a point of time in nanoseconds; whose clock it is, the name says."""

LogPosition = NewType("LogPosition", int)
"""Bytes of encoded log entries since the start of the run."""

StreamOffset = NewType("StreamOffset", int)
"""Bytes since the start of one stream (the console's output, its input)."""

Generation = NewType("Generation", int)
"""Number of times that the right to run alone has been won; the boot is 1."""

Sector = NewType("Sector", int)
"""Number of a 512-byte sector on a disk; the first is 0."""

PAGE_BYTES = 4096
