"""A child process that goes on in this program, instead of loading all of it once more.

A replica is wanted soon: at the start of a run, and above all when a primary is
alone. Loading Python and our modules takes most of a second; a fork has them.
Only for a process without other threads, whose locks nobody would release.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

STDIN, STDOUT = 0, 1
_FIRST_OTHER = 3


class ForkedProcess:
    """A process that runs `main`, its standard input and output at the other ends of pipes.

    Of what is open here it has standard error and the descriptors in `passed`;
    signals are as at the start of a program. It is a process group of its own:
    the terminal's signals are its parent's to judge. `main` returns its exit
    status. Raises OSError if the host has no room for it.
    """

    def __init__(self, name: str, main: Callable[[], int], passed: Sequence[int]) -> None:
        its_stdin, self.stdin = os.pipe()
        self.stdout, its_stdout = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            os.close(self.stdin)
            os.close(self.stdout)
            raise
        else:
            if self.pid == 0:
                _live(name, main, its_stdin, its_stdout, passed)
            os.setpgid(self.pid, self.pid)  # here too: who comes first is not known
        finally:
            os.close(its_stdin)
            os.close(its_stdout)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; it has not been waited for yet."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; returns its exit status, or minus the signal that killed it."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.stdin)
        os.close(self.stdout)
        return status


def _live(
    name: str, main: Callable[[], int], stdin: int, stdout: int, passed: Sequence[int]
) -> NoReturn:
    status = 1
    try:
        os.setpgid(0, 0)
        gc.freeze()  # what the parent has open is not ours to close, once the numbers are
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN, None):
                signal.signal(number, signal.SIG_DFL)
        os.dup2(stdin, STDIN)
        os.dup2(stdout, STDOUT)
        _close_all_but(passed)
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write(name)  # what ps and top show beside the parent's command line
        status = main()
    except BaseException:  # nothing of it may get into what the parent was doing
        traceback.print_exc(file=sys.__stderr__)
    os._exit(status)


def _close_all_but(kept: Sequence[int]) -> None:
    first = _FIRST_OTHER
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
