"""What is run to compare rivals, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """A guest, what it is told, and how its work is counted.

    It does `rounds` of equal work, as many as `count` (an option of its command
    line) says; ``rate`` is about how many a second a fast machine does, from
    which the first run's number is guessed. With ``unit`` a round is that many
    of the things that the guest does.
    ``needs`` is what a rival must have: "interrupts" (and exceptions), "rdrand",
    "keys", "linux".
    """

    name: str
    kind: str
    guest: str
    what: str
    rate: float
    tiny: int
    options: str = ""
    count: str = "rounds"
    needs: frozenset[str] = frozenset()


_INTERRUPTS = frozenset({"interrupts"})

WORKS = (
    Work("sieve", "compute", "primes", "sieve of Eratosthenes below 100,000", 2000, 2,
         "size=100000"),
    Work("sort", "compute", "sort", "quicksort of 16,384 numbers, under paging", 500, 2,
         "size=16384"),
    Work("matrix", "compute", "matrix", "product of 64 x 64 integers", 500, 2),
    Work("crc", "compute", "crc", "CRC-32 and CRC-32C of 8 KiB", 2500, 2, "size=8192"),
    Work("recursion", "compute", "calls", "Fibonacci number 20 by recursion", 1500, 2, "size=20"),
    Work("dispatch", "compute", "dispatch", "2,000 jumps through a table", 600, 2, "size=2000"),
    Work("strings", "compute", "strings", "REP over 16 KiB: fill, copy, search, compare", 3000, 2,
         "size=16384"),
    Work("floats", "compute", "floats", "product of 16 x 16 numbers by the x87", 3000, 2,
         "size=16"),
    Work("pages", "memory", "pages", "4,096 pages touched, CR3 loaded", 2500, 2),
    Work("syscalls", "memory", "syscalls", "1,000 system calls from ring 3", 2500, 2,
         needs=_INTERRUPTS),
    Work("demand", "memory", "demand", "256 page faults of ring 3", 2000, 2, needs=_INTERRUPTS),
    Work("switches", "memory", "switches", "1,000 context switches", 250, 2, needs=_INTERRUPTS),
    Work("rdtsc", "nondeterminism", "tsc", "10,000 RDTSC", 2500, 2),
    Work("rdrand", "nondeterminism", "random", "10,000 RDRAND", 1000, 3,
         needs=frozenset({"rdrand"})),
    Work("100 Hz", "interrupts", "ticks", "computing while the timer ticks", 15000, 50,
         "rate=100", needs=_INTERRUPTS),
    Work("1,000 Hz", "interrupts", "ticks", "the same", 15000, 50, "rate=1000",
         needs=_INTERRUPTS),
    Work("10,000 Hz", "interrupts", "ticks", "the same", 10000, 50, "rate=10000",
         needs=_INTERRUPTS),
    Work("output", "I/O", "lines", "64 lines of 64 bytes to the console", 50, 1),
    Work("echo", "I/O", "counter", "a key and its answer", 1000, 1,
         needs=frozenset({"interrupts", "keys"})),
    Work("storm", "mixed", "storm", "a random mix of all that, timer at 250 Hz", 300000, 200,
         count="ops", needs=_INTERRUPTS),
    Work("Linux", "boot", "", "Debian's kernel, from the command to its first process", 0.2, 1,
         needs=frozenset({"interrupts", "linux"})),
)  # fmt: skip
