"""Our count against a hook on every instruction of the stock engine, on any program."""

import hypothesis.strategies as st
import pytest
from bare import CODE, EPOCH_S, MEMORY_BYTES, STACK, bare_machine, boot_plan, tables
from bare import IDT as TABLE
from hypothesis import HealthCheck, given, settings
from oracle import Oracle, Results, View, view
from programs import Program, programs

from ftvm.log.recording import Recorder, replay
from ftvm.machine.bus import PortBus
from ftvm.machine.cpu import Kind, decode_entries
from ftvm.machine.devices.cmos import Cmos
from ftvm.machine.devices.pit8254 import Pit8254
from ftvm.machine.devices.post import PostPort
from ftvm.machine.machine import Machine
from ftvm.units import InstructionCount, Nanoseconds

STEPS_MAX = InstructionCount(20_000)
EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
stop_counts = st.lists(st.integers(1, 3000), max_size=12)


def views_at(machine: Machine, stops: list[int]) -> dict[int, View]:
    """Run to each of the counts, and on to the end; return what was seen at every stop."""
    views = {}
    for stop in sorted(set(stops)):
        machine.run(InstructionCount(stop))
        if machine.count != stop:
            break
        views[stop] = view(machine)
    machine.run(STEPS_MAX)
    views[machine.count] = view(machine)
    return views


def oracle_of(program: Program, results: Results) -> Oracle:
    """Return the stock engine with the program and the same devices."""
    oracle = Oracle(boot_plan([*tables(), *program.segments()], CODE), MEMORY_BYTES, results)

    def clock() -> Nanoseconds:
        return Nanoseconds(results.take(Kind.CLOCK, oracle.count - 1))

    bus = PortBus()
    for device in (
        PostPort(),
        Pit8254(irq=lambda _: None, clock=clock),
        Cmos(irq=lambda _: None, clock=clock, epoch_s=EPOCH_S, memory_bytes=MEMORY_BYTES),
    ):
        bus.attach(device)
    oracle.port_read = lambda port, size, _: bus.read(port, size)
    oracle.port_write = lambda port, size, value, _: bus.write(port, size, value)
    oracle.set_stack_and_idt(STACK, TABLE, 0x7FF)
    return oracle


@EXAMPLES
@given(programs, stop_counts)
def test_the_count_is_the_number_of_instructions(program: Program, stops: list[int]) -> None:
    machine = bare_machine(*program.segments())
    machine.record()
    views = views_at(machine, stops)
    entries = [entry for entry, _, _ in decode_entries(machine.cpu.log_take())]
    oracle = oracle_of(program, Results([(e.kind, e.count, e.value) for e in entries]))
    oracle.run(STEPS_MAX, [*views])
    compared = 0
    for count, seen in views.items():
        if oracle.limit and count >= oracle.count:
            continue  # what the oracle cannot follow ends its run, not ours
        assert seen == oracle.views[count], seen.difference(oracle.views[count])
        compared += 1
    assert compared or oracle.limit


@EXAMPLES
@given(programs, stop_counts)
def test_stopping_on_the_way_changes_nothing(program: Program, stops: list[int]) -> None:
    straight = bare_machine(*program.segments())
    recorder = Recorder(straight)
    straight.run(STEPS_MAX)
    recording = recorder.finish()
    stopped = bare_machine(*program.segments())
    stopped.replay()
    stopped.cpu.log_put(recording.log)
    stopped.cpu.set_mark(recording.end_count)
    for stop in sorted(set(stops)):
        stopped.run(InstructionCount(stop))
    stopped.run(recording.end_count)
    assert stopped.count == recording.end_count
    assert stopped.state_digest() == recording.end_digest


@EXAMPLES
@given(programs)
def test_a_replay_of_any_program_is_the_program_again(program: Program) -> None:
    recorded = bare_machine(*program.segments())
    recorder = Recorder(recorded)
    for count in range(500, STEPS_MAX, 500):
        recorded.run(InstructionCount(count))
        recorded.checkpoint()
        if recorded.count < count:
            break
    recording = recorder.finish()
    replayed = bare_machine(*program.segments())
    replay(replayed, recording)
    assert replayed.digest == recorded.digest
    assert replayed.links == recorded.links


@pytest.mark.parametrize("paging", [False, True])
def test_every_single_stop_of_a_window(paging: bool) -> None:
    program = Program((), paging, False)
    views = views_at(bare_machine(*program.segments()), list(range(1, 200)))
    last = max(views)
    assert [*views] == list(range(1, last + 1))[-len(views) :]
    for count in views:
        alone = bare_machine(*program.segments())
        alone.run(InstructionCount(count))
        assert view(alone) == views[count]
