"""What several hosts say of themselves, asked once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ftvm.runtime.addresses import Address
from ftvm.runtime.clock import now_ns
from ftvm.runtime.inquirer import Inquirer
from ftvm.runtime.security import Security
from ftvm.runtime.status import HostStatus
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds

PATIENCE_NS = Nanoseconds(3_000_000_000)
"""Who has not answered by then is called unreachable; a host's own loop takes milliseconds."""


@dataclass(frozen=True)
class HostAnswer:
    """One host: its status, or what was in the way."""

    address: Address
    status: HostStatus | None
    trouble: str

    def as_json(self) -> dict[str, Any]:
        """Return the object for `--json`."""
        start = {"address": str(self.address), "reachable": self.status is not None}
        if self.status is None:
            return {**start, "trouble": self.trouble}
        return {**start, **msgspec.to_builtins(self.status)}


def ask(addresses: Sequence[Address], security: Security) -> list[HostAnswer]:
    """Ask all hosts at once; return what came, in the order of the addresses.

    UsageError if nobody takes us for one of the pair, and somebody is there.
    """
    transport = Transport(security)
    inquirer = Inquirer(transport, addresses)
    deadline = now_ns() + PATIENCE_NS
    while not inquirer.settled and now_ns() < deadline:
        inquirer.tend(now_ns())
        if not inquirer.settled:
            for happening in transport.poll(Nanoseconds(max(0, deadline - now_ns()))):
                inquirer.take(happening)
    inquirer.check_secret()
    answers = [
        HostAnswer(a, inquirer.answers.get(a), inquirer.troubles.get(a, "no answer in time"))
        for a in addresses
    ]
    inquirer.end()
    return answers
