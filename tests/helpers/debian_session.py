"""Debian's guests under fault tolerance, with somebody who types at the console."""

import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from debian_guests import EPOCH_S, LINUX_MEMORY_BYTES, PROMPT

from ftvm.runtime.crash import parse_crash_point
from ftvm.runtime.report import RunReport
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.units import Nanoseconds

TICK = Nanoseconds(20_000_000)
PATIENCE_S = 300
KILLS = 20


class Session:
    """What is on the console, and when the next command is to be typed: at each prompt one."""

    def __init__(self, commands: Sequence[bytes] = ()) -> None:
        self.output = bytearray()
        self._commands = list(commands)
        self._prompts = 0

    def due(self) -> bytes | None:
        if self.output.count(PROMPT) > self._prompts and self._commands:
            self._prompts = self.output.count(PROMPT)
            return self._commands.pop(0)
        return None

    def after_boot(self) -> bytes:
        """What the shell showed, without what the kernel said meanwhile."""
        shown = bytes(self.output).replace(b"\r", b"")
        shown = shown[shown.index(PROMPT) :]
        return re.sub(rb"\[ *\d+\.\d+\] .*\n", b"", shown)


def guest_spec(
    image: Path,
    append: str,
    *crashes: str,
    memory_bytes: int = LINUX_MEMORY_BYTES,
    initrd: Path | None = None,
) -> RunSpec:
    return RunSpec(
        image_path=image,
        image_name="vmlinuz" if initrd else image.name,
        memory_bytes=memory_bytes,
        append=append,
        solo=False,
        crashes=tuple(parse_crash_point(crash) for crash in crashes),
        epoch_s=EPOCH_S,
        initrd_path=initrd,
    )


def converse(spec: RunSpec, session: Session, last: bytes = b"") -> RunReport:
    """Run a pair until its guest ends, or has said `last` and its crash points have come.

    What is typed comes from `session`.
    """
    give_up = time.monotonic() + PATIENCE_S
    with Supervisor(spec, session.output.extend) as supervisor:
        supervisor.start()
        while not supervisor.finished:
            assert time.monotonic() < give_up, bytes(session.output[-2000:])
            supervisor.poll(TICK)
            if (command := session.due()) is not None:
                supervisor.write(command)
            has_died = len(supervisor.report().failovers) == len(spec.crashes)
            if last and has_died and last in session.output:
                supervisor.stop("seen enough")
                last = b""
        return supervisor.report()


def check_seamless(report: RunReport, crash: str) -> None:
    """The primary died once, and the replicas contradicted each other nowhere."""
    assert report.divergences == report.contradictions == []
    assert len(report.failovers) == 1, crash


def drawn_crashes(seed: int | None, instructions: int, kills: int = KILLS) -> tuple[str, ...]:
    """Moments of a primary's death, from the first instruction to the last; failing, say `seed`."""
    draw = random.Random(seed)
    return tuple(f"primary@instruction:{draw.randrange(1, instructions)}" for _ in range(kills))


def drawn_seed(config: pytest.Config) -> int:
    given = config.getoption("seed", None)
    return random.SystemRandom().getrandbits(32) if given is None else int(given)
