"""A process that is one replica for a supervisor.

`python -m ftvm.runtime.node_process` reads a `Launch` from standard input, and
tells on standard output what becomes of the replica.
"""

import os
import signal
import socket
import sys

from ftvm.errors import FtvmError
from ftvm.runtime import control, security
from ftvm.runtime.journal_file import open_journal
from ftvm.runtime.node import Node
from ftvm.runtime.store_asker import StoreAsker
from ftvm.runtime.transport import Transport

_STDIN, _STDOUT = 0, 1


def _tell(told: control.Told) -> None:
    os.write(_STDOUT, control.encode_line(told))


def _commanded(node: Node, transport: Transport) -> None:
    lines = os.read(_STDIN, 65536).splitlines()
    if not lines:  # the supervisor is gone, and nobody is left to serve
        os._exit(1)
    for line in lines:
        command: control.Command = control.decode_line(
            line,
            control.Command,  # type: ignore[arg-type]  # a union is no type
        )
        match command:
            case control.Stop(detail):
                node.stop(detail)
            case control.Measure():
                _tell(node.measured())
            case control.FlipBit(address, bit) if node.guest is not None:
                node.guest.flip(address, bit)
            case control.Cut():
                transport.cut()
            case control.Mend():
                transport.mend()


def main() -> int:
    """Run a node as its supervisor says; returns the process's exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to judge
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(_STDIN, 1)
        if not byte:
            return 2
        line += byte
    try:
        launch = control.decode_line(bytes(line), control.Launch)
        transport = Transport(security.from_key(bytes.fromhex(launch.key)))
        transport.accept_from(socket.socket(fileno=launch.listen_descriptor), "replica")
        journal = open_journal(launch.node)
        node = Node(launch.node, transport, StoreAsker(), _tell, journal)
        transport.watch(_STDIN, lambda: _commanded(node, transport))
        node.run()
        _tell(node.measured())  # what it saw last
    except FtvmError as error:
        _tell(control.Over("error", str(error)))
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
