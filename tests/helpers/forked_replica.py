"""Replicas that are forked, where a test needs hundreds of them and not their start.

They run what `python -m ftvm.runtime.node_process` runs, in processes of their
own that die by real signals; what is saved is loading the modules each time.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from ftvm.runtime import node_process


class ForkedProcess:
    """As much of `subprocess.Popen` as a Replica needs."""

    def __init__(self, command: Sequence[str], *, pass_fds: Sequence[int], **_: object) -> None:
        assert command[-1] == node_process.__name__
        its_stdin, stdin = os.pipe()
        stdout, its_stdout = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be_a_replica(its_stdin, its_stdout, pass_fds)
        os.close(its_stdin)
        os.close(its_stdout)
        self.stdin = os.fdopen(stdin, "wb", buffering=0)
        self.stdout = os.fdopen(stdout, "rb", buffering=0)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _be_a_replica(stdin: int, stdout: int, pass_fds: Sequence[int]) -> NoReturn:
    status = 1
    try:
        os.setpgid(0, 0)
        gc.freeze()  # what the parent had open is not this process's to close
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        first = 3
        for descriptor in sorted(pass_fds):
            os.closerange(first, descriptor)
            first = descriptor + 1
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))
        status = node_process.main()
    except BaseException:  # nothing of it may get into the test that was forked
        traceback.print_exc(file=sys.__stderr__)
    os._exit(status)
