"""A process that is one replica for a supervisor.

It does what lines on standard input ask for, and tells on standard output what
becomes of the replica.
"""

import os
import signal
import socket
from dataclasses import dataclass, field

from ftvm.errors import FtvmError
from ftvm.runtime import control, security
from ftvm.runtime.forked import STDIN, STDOUT
from ftvm.runtime.journal_file import open_journal
from ftvm.runtime.node import Node
from ftvm.runtime.store_asker import StoreAsker
from ftvm.runtime.transport import Transport


@dataclass(frozen=True)
class Launch:
    """What a node is to be, the number of its listening socket, and the run's secret."""

    node: control.NodeConfig
    listen_descriptor: int
    key: bytes = field(repr=False)


def _tell(told: control.Told) -> None:
    os.write(STDOUT, control.encode_line(told))


def _commanded(node: Node, transport: Transport) -> None:
    lines = os.read(STDIN, 65536).splitlines()
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


def be_replica(launch: Launch) -> int:
    """Run a node as its supervisor says; returns the process's exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to judge
    try:
        transport = Transport(security.from_key(launch.key))
        transport.accept_from(socket.socket(fileno=launch.listen_descriptor), "replica")
        journal = open_journal(launch.node)
        node = Node(launch.node, transport, StoreAsker(), _tell, journal)
        transport.watch(STDIN, lambda: _commanded(node, transport))
        node.run()
        _tell(node.measured())  # what it saw last
    except FtvmError as error:
        _tell(control.Over("error", str(error)))
        return error.exit_status
    return 0
