"""What goes wrong in one run: drawn from a seed, so that it can be had again."""

from collections.abc import Iterator
from random import Random

from ftvm.simulation.faults import (
    BACKUP,
    CONSOLE,
    NODES,
    PAIR,
    PRIMARY,
    Corruption,
    Crash,
    CrashAtStep,
    Cut,
    Fault,
    InTransfer,
    Leave,
    Partition,
    Pause,
    Place,
    SlowLink,
    SlowNetwork,
    StoreAnswersLost,
    StoreAway,
    StoreCrash,
    Stranger,
    Stuck,
)
from ftvm.simulation.network import MILLISECOND

PRIMARY_STEPS = (
    *(("", 60), ("send-state", 12), ("send-handover", 1), ("send-commit", 1), ("peer-joined", 1)),
    *(("send-mark", 5), ("send-output", 20)),
)
BACKUP_STEPS = (
    *(("", 60), ("feed-state", 12), ("state-given", 1), ("send-complete", 1), ("peer-joined", 1)),
    *(("feed-log", 5), ("send-ack", 5)),
)
"""Steps of a transfer and what surrounds it, and how often each is done in one at most."""


def campaign(random: Random) -> Iterator[Fault]:
    """Choose what goes wrong again and again, while the survivor protects itself."""
    at = random.uniform(15, 60)
    for _ in range(random.randint(2, 5)):
        start = (at + random.uniform(0, 25)) * MILLISECOND
        if random.random() < 0.5:
            yield Crash(start, 0, random.choice((PRIMARY, PRIMARY, BACKUP)), random.random() < 0.3)
        else:
            span = random.choice((3, 10, 30, 120)) * random.uniform(0.5, 1.5) * MILLISECOND
            yield _fault(random, start, span, PAIR)
        for _ in range(random.choice((0, 0, 1, 2))):
            yield _in_transfer(random, at * MILLISECOND)
        if random.random() < 0.3:
            yield from _at_commit(random, at * MILLISECOND)
        at += random.choice((30, 80, 150)) * random.uniform(0.5, 1.5)


def _at_commit(random: Random, start: float) -> Iterator[Fault]:
    """Choose what goes wrong right when a new backup comes to its right."""
    span = random.choice((25, 60)) * random.uniform(0.8, 1.2) * MILLISECOND
    there, back = (PRIMARY, BACKUP), (BACKUP, PRIMARY)
    match random.randrange(3):
        case 0:
            yield InTransfer(start, 0, False, "peer-joined", 1, Cut(0, 0, frozenset(PAIR)))
        case 1:
            ways = random.choice(({there, back}, {there}, {back}))
            yield InTransfer(start, 0, False, "peer-joined", 1, Partition(0, span, frozenset(ways)))
        case _:  # what the console has not seen by then is the new backup's to say again
            deaf = Partition(0, span, frozenset({(PRIMARY, CONSOLE), (CONSOLE, PRIMARY)}))
            yield InTransfer(start, 0, True, "send-state", random.randint(1, 4), deaf)
            crash = Crash(0, 0, PRIMARY, random.random() < 0.3)
            yield InTransfer(start, 0, False, "peer-joined", 1, crash)


def _in_transfer(random: Random, start: float) -> Fault:
    of_primary = random.random() < 0.5
    step, number_max = random.choice(PRIMARY_STEPS if of_primary else BACKUP_STEPS)
    span = random.choice((25, 60)) * random.uniform(0.8, 1.2) * MILLISECOND
    there, back = (PRIMARY, BACKUP), (BACKUP, PRIMARY)
    match random.randrange(7):
        case 0:
            fault: Fault = Crash(0, 0, random.choice(PAIR), random.random() < 0.3)
        case 1:
            fault = Cut(0, 0, frozenset(PAIR))
        case 2:
            fault = Partition(0, span, frozenset({there, back}))
        case 3:
            fault = Partition(0, span, frozenset({random.choice((there, back))}))
        case 4:
            fault = Pause(0, span, random.choice(PAIR))
        case 5:
            fault = Leave(0, 0, random.choice((PRIMARY, PRIMARY, BACKUP)))
        case _:
            fault = Partition(0, span, frozenset({(PRIMARY, CONSOLE), (CONSOLE, PRIMARY)}))
    return InTransfer(start, 0, of_primary, step, random.randint(1, number_max), fault)


def plan(random: Random) -> Iterator[Fault]:
    """Choose what goes wrong in one run: often one thing, sometimes several close together."""
    if random.random() < 0.04:
        yield Corruption(random.uniform(10, 60) * MILLISECOND, 0)
        return
    around = random.uniform(8, 90)
    for _ in range(random.choice((1, 1, 2, 2, 3, 4))):
        start = max(around + random.uniform(-5, 40), 0) * MILLISECOND
        span = random.choice((3, 10, 30, 120)) * random.uniform(0.5, 1.5) * MILLISECOND
        yield _fault(random, start, span, NODES)


def _fault(random: Random, start: float, span: float, nodes: tuple[Place, ...]) -> Fault:
    node = random.choice((nodes[0], *nodes))
    match random.randrange(16):
        case 0 | 1:
            return Crash(start, 0, node, random.random() < 0.3)
        case 2 | 3 | 4:
            return CrashAtStep(start, 0, node, random.random() < 0.3, random.randint(1, 40))
        case 5:
            return Pause(start, span, node)
        case 6:
            return Stuck(start, span, node)
        case 7 | 8:
            one, other = random.sample((*nodes, CONSOLE), 2)
            pairs = {(one, other)} | ({(other, one)} if random.random() < 0.6 else set())
            return Partition(start, span, frozenset(pairs))
        case 9:
            return Cut(start, 0, frozenset(random.sample((*nodes, CONSOLE), 2)))
        case 10:
            return SlowNetwork(start, span, random.choice((3.0, 10.0)))
        case 11:
            askers = random.choice((nodes, nodes[:1], nodes[1:]))
            if random.random() < 0.3:
                return StoreAnswersLost(start, 0, random.randint(1, 2))
            return StoreAway(start, span, frozenset(askers))
        case 12:
            return StoreCrash(start, span)
        case 13:
            hosts = frozenset(random.sample((*nodes, CONSOLE), 2))
            return SlowLink(start, span, hosts, random.choice((20_000.0, 100_000.0)))
        case 14:
            return Leave(start, 0, node)
        case _:
            garbage = random.choice((b"GET / HTTP/1.1\r\n", b"\0\0\0\2\7\1", random.randbytes(12)))
            return Stranger(start, 0, node, garbage, random.random() < 0.5)
