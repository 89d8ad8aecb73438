"""Judges a simulated run by one uninterrupted run of its last owner's log."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ftvm.errors import DivergenceError
from ftvm.replication.events import HaltCause
from ftvm.replication.messages import Reason
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.states import BackupState
from ftvm.simulation.guest import Guest, replayed

if TYPE_CHECKING:
    from ftvm.simulation.node import Node
    from ftvm.simulation.world import World


@dataclass
class Verdict:
    """What the oracle says of one run."""

    seed: int
    violations: list[str] = field(default_factory=list)
    is_machine: bool = False
    """Whether the guest was the real machine."""
    failovers: int = 0
    protections: int = 0
    """How often a backup was sent its machine and became one."""
    finished: bool = False
    lost: bool = False
    """No replica was left, for a good reason."""
    virtual_ns: int = 0


def judge(world: "World") -> Verdict:
    """Compare what the console saw with one uninterrupted run by the last owner's log."""
    console, store = world.console, world.store.memory
    verdict = Verdict(world.seed, is_machine=world.is_machine, virtual_ns=world.clock.now)
    wrong = verdict.violations
    wrong += [f"{one.kind}: {one.detail}" for one in console.contradictions]
    if console.generations != sorted(console.generations):
        wrong.append(f"generations accepted out of order: {console.generations}")
    wrong += world.bounds_broken[:1]
    wrong += [
        f"{node.name} diverged: {node.halted.detail}"
        for node in world.nodes
        if node.halted is not None
        and node.halted.cause is HaltCause.DIVERGED
        and not world.corrupted
    ]
    became_live = [n for n in world.nodes[1:] if isinstance(n.protocol, PrimaryProtocol)]
    verdict.failovers = len(became_live)
    verdict.protections = sum(node.protections for node in world.nodes)

    owner = next((node for node in world.nodes if node.name == store.owner), world.nodes[0])
    reference = _uninterrupted(world, owner)
    if reference is None:
        wrong.append(f"{owner.name}'s log cannot be replayed")
        return verdict
    wrong += _console_faults(world, owner, reference)
    idle = [node.name for node in world.nodes if node.alive and not _rightly_idle(world, node)]
    if console.exit is not None:
        verdict.finished = True
        wrong += _end_faults(world, reference)
    elif owner.alive and not _has_left(owner):
        wrong.append(f"{owner.name} owns generation {store.generation}, but the guest is stuck")
    elif idle:
        wrong.append(f"{', '.join(idle)} should have gone on alone")
    else:
        verdict.lost = True
    return verdict


def _uninterrupted(world: "World", owner: "Node") -> Guest | None:
    guest = owner.guest
    try:
        return replayed(world.kind, bytes(guest.log[: guest.used]), guest.count)
    except DivergenceError:
        return None


def _console_faults(world: "World", owner: "Node", reference: Guest) -> list[str]:
    console, guest, wrong = world.console, owner.guest, []
    if reference.output != guest.output or reference.digest() != guest.digest():
        wrong.append(f"{owner.name}'s log does not lead to its state")
    if not reference.output.startswith(console.view):
        wrong.append("the console saw what no single run puts out")
    if not console.typed.startswith(reference.taken):
        wrong.append("the guest took what nobody typed")
    if console.endpoint.forgotten() > len(reference.taken):
        wrong.append("acknowledged input was lost")
    return wrong


def _end_faults(world: "World", reference: Guest) -> list[str]:
    console, wrong = world.console, []
    assert console.exit is not None
    if reference.output != console.view:
        wrong.append("the console did not see all output")
    told = (console.exit.status, console.exit.count, console.exit.digest)
    made = (reference.status, reference.count, reference.digest())
    if told != made:
        wrong.append(f"exit told as {told}, was {made}")
    answered = reference.taken.partition(b"q")[0].count(world.kind.keys[:1])
    if reference.status != answered:
        wrong.append(f"{answered} keys that are answered gave {reference.status}")
    return wrong


def _has_left(node: "Node") -> bool:
    """Whether a node was asked to leave, and did."""
    return node.ended is not None and node.ended.reason is Reason.SWITCH_OVER


def _rightly_idle(world: "World", node: "Node") -> bool:
    """Whether a node that lives, where the last owner died, had good reason not to go on."""
    if node.ended is not None:
        # The guest ended before it had a machine, or it was asked to leave.
        return node.ended.reason in (Reason.REFUSED, Reason.USER_ACTION, Reason.SWITCH_OVER)
    if node.halted is None:
        return node.protocol.state is BackupState.JOINING
    match node.halted.cause:
        case HaltCause.DIVERGED:
            return world.corrupted
        case HaltCause.LOST_ARBITRATION | HaltCause.FENCED:
            return world.store.memory.generation > 1
    return True  # it never had the right
