"""Real processes that do a piece of a test's work."""

import os
from collections.abc import Callable


def run_in_child(work: Callable[[], int]) -> int:
    """Start a real process that does `work` and exits with its result; return its pid."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = work()
        finally:
            os._exit(status)
    return pid


def exit_status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
