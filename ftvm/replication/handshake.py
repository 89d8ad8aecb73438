"""Greetings on the logging channel, and whether two of them fit."""

from ftvm.replication.messages import RUN_UNKNOWN, Hello, Role
from ftvm.replication.settings import Identity
from ftvm.units import Generation, InstructionCount, LogPosition


def greeting(
    identity: Identity,
    role: Role,
    generation: Generation,
    count: InstructionCount,
    position: LogPosition,
) -> Hello:
    """Return what a node says of itself, standing at (count, position)."""
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
    if theirs.image != mine.image:
        return "peer has another guest image or command line"
    if theirs.config != mine.config:
        return "peer's machine is configured otherwise"
    if theirs.engine != mine.engine:
        return f"peer has engine build {theirs.engine}, this is {mine.engine}"
    primary, backup = (mine, theirs) if mine.role is Role.PRIMARY else (theirs, mine)
    if backup.generation > primary.generation:
        return (
            f"primary {primary.node} is of generation {primary.generation}, but backup"
            f" {backup.node} has seen {backup.generation}"
        )
    if (theirs.count, theirs.position) != (mine.count, mine.position):
        return (
            f"primary stands at instruction {primary.count}, backup at {backup.count};"
            " a pair begins at the same place"
        )
    return None
