"""Greetings on the logging channel, and whether two of them fit."""

from ftvm.replication.messages import ANY_LAG, HASH_UNKNOWN, RUN_UNKNOWN, Hello, Role
from ftvm.replication.settings import Identity
from ftvm.units import Generation, InstructionCount, LogPosition, Nanoseconds


def greeting(
    identity: Identity,
    role: Role,
    generation: Generation,
    count: InstructionCount,
    position: LogPosition,
    needs_state: bool = False,
    lag_ns: Nanoseconds = ANY_LAG,
) -> Hello:
    """Return what a node says of itself, standing at (count, position) or without a machine."""
    return Hello(
        role=role,
        node=identity.node,
        run=identity.run,
        generation=generation,
        image=identity.image,
        config=identity.config,
        engine=identity.engine,
        count=count,
        position=position,
        needs_state=needs_state,
        lag_ns=lag_ns,
    )


def misfit(mine: Hello, theirs: Hello) -> str | None:
    """Return why two nodes cannot pair up, as one line, or None if they can."""
    wanted = Role.BACKUP if mine.role is Role.PRIMARY else Role.PRIMARY
    if theirs.role is not wanted:
        return f"peer {theirs.node} is a {theirs.role.name.lower()}, not a {wanted.name.lower()}"
    if theirs.node == mine.node:
        return f"both nodes are called {mine.node}; names must be unique"
    if theirs.run != mine.run and RUN_UNKNOWN not in (theirs.run, mine.run):
        return f"peer belongs to run {theirs.run.hex()}, this is {mine.run.hex()}"
    primary, backup = (mine, theirs) if mine.role is Role.PRIMARY else (theirs, mine)
    if primary.needs_state:
        return f"primary {primary.node} says that it has no machine"
    takes_all = (HASH_UNKNOWN,) if backup.needs_state else ()
    if backup.image not in (primary.image, *takes_all):
        return "peer has another guest image or command line"
    if backup.config not in (primary.config, *takes_all):
        return "peer's machine is configured otherwise"
    if theirs.engine != mine.engine:
        return f"peer has engine build {theirs.engine}, this is {mine.engine}"
    if backup.generation > primary.generation:
        return (
            f"primary {primary.node} is of generation {primary.generation}, but backup"
            f" {backup.node} has seen {backup.generation}"
        )
    same_place = (theirs.count, theirs.position) == (mine.count, mine.position)
    if not backup.needs_state and not same_place:
        return (
            f"primary stands at instruction {primary.count}, backup at {backup.count};"
            " a pair begins at the same place"
        )
    return None
