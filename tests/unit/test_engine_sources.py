"""Everything that the core, engine included, could take from the host.

What a guest computes may depend on nothing but itself and the log. There are two ways
in: the functions of the C library that are called, all of them listed here with why a
guest sees nothing of them, and the processor's own instructions that tell of the host,
for which docs/machine.md says how each is closed.
"""

import re
import subprocess
from pathlib import Path

from ftvm._native import _core

MACHINE = (Path(__file__).parents[2] / "docs" / "machine.md").read_text(encoding="utf-8")

HARMLESS = {
    "room for the engine's own tables, at addresses that no guest sees": """
        calloc free madvise malloc mmap mmap64 mprotect munmap posix_memalign realloc
        getpagesize sysconf""",
    "moves or compares bytes": """
        bsearch memchr memcmp memcpy memmove memset qsort strcat strcmp strcpy __strdup
        strerror strlen strncmp strncpy strstr""",
    "makes text for errors": """
        fclose fflush fopen64 fprintf fputc fputs fread fwrite perror printf putchar puts
        setvbuf snprintf sprintf stderr stdout vasprintf vsnprintf""",
    "ends the process, or jumps out of a block": """
        abort exit raise __sigsetjmp siglongjmp __stack_chk_fail""",
    "the compiler's and the linker's": """
        __cxa_finalize __errno_location __gmon_start__ _ITM_deregisterTMCloneTable
        _ITM_registerTMCloneTable __tls_get_addr __assert_fail""",
    "one right result by IEEE 754": """
        fma fmaf frexp __fpclassify __isinf __isinff __isnan ldexpl sqrt sqrtf sqrtl""",
    "the engine's limit on time and its own random numbers, which nothing asks for": """
        getenv getpid getppid pthread_attr_destroy pthread_attr_init
        pthread_attr_setdetachstate pthread_create pthread_exit pthread_join
        pthread_sigmask sigfillset usleep""",
    "our own: what they tell a guest is logged": "clock_gettime getrandom poll ppoll",
}

CLOSED = {
    "gettimeofday": "TLB size by host time",
    "sin": "C library", "cos": "C library", "sincos": "C library", "tan": "C library",
    "atan2": "C library", "log": "C library", "pow": "C library",
}  # fmt: skip
"""Functions that a seam stands in for, and where docs/machine.md tells of it."""

INSTRUCTIONS = ("RDTSC", "RDTSCP", "RDRAND", "RDSEED", "RDPMC", "XGETBV", "CPUID", "IN", "OUT")


def called() -> set[str]:
    """What the core takes from shared libraries, other than Python's."""
    listing = subprocess.run(
        ["nm", "-D", "--undefined-only", _core.__file__], capture_output=True, text=True, check=True
    )
    names = {re.split("@", line.split()[-1])[0] for line in listing.stdout.splitlines()}
    return {name for name in names if not name.startswith(("Py", "_Py"))}


def test_every_function_of_the_host_is_known_to_be_harmless() -> None:
    known = {name for names in HARMLESS.values() for name in names.split()}
    assert called() - known == set()


def test_nothing_calls_what_a_seam_stands_in_for() -> None:
    assert called() & CLOSED.keys() == set()
    for told in CLOSED.values():
        assert told in MACHINE


def test_every_instruction_that_tells_of_the_host_is_closed() -> None:
    section = MACHINE.partition("## What the engine would take from the host")[2]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    told = set(re.findall(r"[A-Z]{2,}", " ".join(first_cells)))
    assert set(INSTRUCTIONS) <= told
