"""Our count against a hook on every instruction of the stock engine, on any program."""

import hypothesis.strategies as st
import pytest
import raw_code
from bare import CODE, EPOCH_S, KERNEL_STACK, MEMORY_BYTES, STACK, bare_machine, boot_plan, tables
from bare import IDT as TABLE
from comparison import NoDevices, assert_same, oracle_pc, record
from evidence import Log
from hypothesis import HealthCheck, given, settings
from oracle import Oracle
from programs import Program, programs

from ftvm.log.recording import Recorder, replay
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import InstructionCount

STEPS_MAX = InstructionCount(20_000)
RAW_STEPS = 1_500
EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
stop_counts = st.lists(st.integers(1, 3000), max_size=12)


@EXAMPLES
@given(programs, stop_counts)
def test_the_count_is_the_number_of_instructions(program: Program, stops: list[int]) -> None:
    machine = bare_machine(*program.segments())
    recording = record(machine, stops, STEPS_MAX)
    plan = boot_plan([*tables(), *program.segments()], CODE)
    oracle, _ = oracle_pc(plan, machine.config, recording.entries)
    oracle.set_stack_and_idt(STACK, TABLE, 0x7FF)
    oracle.run(STEPS_MAX, [*recording.views])
    assert_same(recording, oracle)
    assert oracle.views or oracle.limit


@EXAMPLES
@given(raw_code.slots, st.lists(st.integers(10, RAW_STEPS), max_size=8))
def test_any_bytes_do_what_the_oracle_does(slots: list[bytes], stops: list[int]) -> None:
    plan = boot_plan(raw_code.segments(slots), CODE)
    machine = Machine(MachineConfig(MEMORY_BYTES, EPOCH_S))
    machine.boot(plan)
    registers = machine.cpu.registers
    registers.gpr[4] = KERNEL_STACK
    registers.idt.base, registers.idt.limit = TABLE, 0x7FF
    machine.cpu.registers = registers
    ports = NoDevices()
    machine.cpu.port_read, machine.cpu.port_write = ports.read, ports.write
    recording = record(machine, stops, RAW_STEPS)
    oracle = Oracle(plan, MEMORY_BYTES, Log(recording.entries), ports)
    oracle.set_stack_and_idt(KERNEL_STACK, TABLE, 0x7FF)
    oracle.run(RAW_STEPS, recording.views)
    assert_same(recording, oracle)
    assert oracle.views or oracle.limit


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
    together = record(bare_machine(*program.segments()), range(1, 200), STEPS_MAX).views
    assert [*together] == list(range(1, max(together) + 1))
    for count, shown in together.items():
        alone = record(bare_machine(*program.segments()), [], count)
        assert alone.views == {count: shown}
