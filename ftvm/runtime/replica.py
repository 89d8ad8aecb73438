"""A replica's process, as its supervisor holds it: started, heard, told, killed."""

import contextlib
import os
import signal
import socket
import time
from functools import partial

from ftvm.errors import HostError, ProtocolError
from ftvm.runtime import control
from ftvm.runtime.forked import ForkedProcess
from ftvm.runtime.node_process import Launch, be_replica

_LINE_BYTES_MAX = 1 << 16


class Replica:
    """One node process and what it has told so far."""

    def __init__(self, name: str, role: str, follows: str = "") -> None:
        self.name = name
        self.follows = follows
        """Name of the primary whose backup it is, or was when that died."""
        self.role = role
        """What it is now: a backup that goes live becomes the primary."""
        self.was_recruit = False
        """Whether it began without a machine."""
        self.crashes: tuple[str, ...] = ()
        """At most one crash point for each role that it may come to have."""
        self.totals: control.Totals | None = None
        self.over: control.Over | None = None
        self.measured: control.Measured | None = None
        """What it said of itself when it was asked last."""
        self.asked = False
        """Whether it has been asked and has not answered."""
        self.paused = False
        """Whether it was stopped, as by `kill -STOP`."""
        self.is_cut = False
        """Whether it is a backup whose connection to its primary is cut."""
        self.commits_ns = 0
        """Since when it puts what the guest wrote into its disks' images; 0 if it does not."""
        self.killed_ns = 0
        """When `kill` was called; 0 if it was not."""
        self.dead_ns = 0
        self.ending = ""
        """How it ended, once it has: "killed by SIGKILL"."""
        self.port = 0
        """Where it listens, on loopback."""
        self._process: ForkedProcess | None = None
        self._heard = b""

    def start(self, config: control.NodeConfig, key: bytes, listener: socket.socket) -> None:
        """Start the process; it has the listening socket from here on."""
        self.port = listener.getsockname()[1]
        launch = Launch(config, listener.fileno(), key)
        passed = [listener.fileno(), *(disk.descriptor for disk in config.disks)]
        try:
            self._process = ForkedProcess(f"ftvm {self.name}", partial(be_replica, launch), passed)
        except OSError as error:
            raise HostError(f"cannot start a replica: {error.strerror}") from None
        finally:
            listener.close()
        os.set_blocking(self.stdout, False)

    @property
    def process(self) -> ForkedProcess:
        """The process; it has been started."""
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def stdout(self) -> int:
        """The descriptor that it tells on."""
        return self.process.stdout

    @property
    def alive(self) -> bool:
        """Whether its end has not been seen yet."""
        return self.dead_ns == 0

    def hear(self) -> list[control.Told] | None:
        """Return what it told since the last call; None once it has ended."""
        try:
            data = os.read(self.stdout, _LINE_BYTES_MAX)
        except BlockingIOError:
            return []
        if not data:
            return None
        *lines, self._heard = (self._heard + data).split(b"\n")
        if len(self._heard) > _LINE_BYTES_MAX:
            raise ProtocolError(f"replica {self.name} tells a line without an end")
        told: list[control.Told] = [
            control.decode_line(line, control.Told)  # type: ignore[arg-type]
            for line in lines
        ]
        for message in told:
            if isinstance(message, control.Measured):
                self.measured, self.asked = message, False
        return told

    def measure(self) -> None:
        """Ask it how it is, unless it has yet to answer."""
        if not self.asked:
            self.asked = True
            self._write(control.encode_line(control.Measure()))

    def pause(self) -> None:
        """Stop it where it stands, as `kill -STOP` does."""
        self.paused = True
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.paused = False
        self.process.send(signal.SIGCONT)

    def flip(self, address: int, bit: int) -> None:
        """Turn a bit of its guest's memory over."""
        self._write(control.encode_line(control.FlipBit(address, bit)))

    def cut(self) -> None:
        """Cut a backup from its primary, as a network does that loses everything."""
        self.is_cut = True
        self._write(control.encode_line(control.Cut()))

    def mend(self) -> None:
        """Undo `cut`."""
        self.is_cut = False
        self._write(control.encode_line(control.Mend()))

    def stop(self, detail: str) -> None:
        """Ask it to end; it must be able to hear."""
        if self.paused:
            self.resume()
        self._write(control.encode_line(control.Stop(detail)))

    def kill(self) -> None:
        """Kill it as `kill -9` does; nothing of it runs any more on return."""
        self.killed_ns = time.monotonic_ns()
        self.process.send(signal.SIGKILL)

    def reap(self) -> str:
        """Wait for its end and return how it came: "killed by SIGKILL", "exit status 1"."""
        status = self.process.wait()
        if status < 0:
            self.ending = f"killed by {signal.Signals(-status).name}"
        else:
            self.ending = f"exit status {status}"
        return self.ending

    def crash_of(self, status: str) -> str:
        """Return the crash point that it died of, if that is how it ended; else nothing."""
        if status != "killed by SIGKILL" or self.killed_ns:
            return ""
        return next((crash for crash in self.crashes if crash.startswith(f"{self.role}@")), "")

    def _write(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # its end shows on its output
            os.write(self.process.stdin, line)
