"""ftvm's own machine: uncounted, counted, and as the primary of a pair."""

import time
from pathlib import Path

from benchmarks.engines import EPOCH_S, MEMORY_BYTES, Run
from benchmarks.guests import CannotRunError, Workload
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.cpu import NEVER, Mode, Reason
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import Nanoseconds

SEND_EVERY_NS = 1_000_000
"""How often a primary turns to its log and its outputs."""


class OursEngine:
    """A machine in this process; in RECORD mode it drains its log as a primary does.

    Uncounted, interrupts are not taken, for nothing ever ends a slice.
    """

    def __init__(self, name: str, mode: Mode, *, counted: bool = True) -> None:
        self.name = name
        self._mode = mode
        self._counted = counted

    def can_run(self, workload: Workload) -> bool:
        """Everything, if counted."""
        return self._counted or workload.stock

    def run(self, image: Path, options: str) -> Run:
        """Boot the image and run it until it writes to the exit port."""
        machine = boot(image, options)
        if not self._counted:
            machine.cpu.set_uncounted()
        if self._mode is Mode.RECORD:
            machine.record()
        start = time.process_time()
        output, log_bytes = drive(machine)
        seconds = time.process_time() - start
        return Run(
            seconds=seconds,
            output=output,
            exit_value=machine.exit_value,
            steps=machine.count if self._counted else None,
            log_bytes=log_bytes if self._mode is Mode.RECORD else None,
            log_entries=machine.cpu.log_entries if self._mode is Mode.RECORD else None,
        )


def boot(image: Path, options: str) -> Machine:
    """Make a machine that is about to run the image's first instruction."""
    machine = Machine(MachineConfig(memory_bytes=MEMORY_BYTES, epoch_s=EPOCH_S))
    machine.boot(load(image.read_bytes(), MEMORY_BYTES, options, image.stem))
    return machine


def drive(machine: Machine) -> tuple[bytes, int]:
    """Run the machine to its guest's exit; return its output and its log's bytes."""
    output = bytearray()
    log_bytes = 0
    recording = machine.mode is Mode.RECORD
    while machine.exit_value is None:
        deadline = Nanoseconds(machine.cpu.host_ns() + SEND_EVERY_NS) if recording else NEVER
        reason = machine.run(deadline=deadline)
        log_bytes += len(machine.cpu.log_take()) if recording else 0
        for sent in machine.take_outputs():
            output += sent.data
        if reason is Reason.HALTED:
            due = machine.next_deadline()
            if due is None or machine.cpu.halted_for_good:
                break
            time.sleep(max(0, due - machine.cpu.guest_ns()) / 1e9)
        elif reason is Reason.SHUTDOWN:
            raise CannotRunError("the guest reset the machine")
    return bytes(output), log_bytes
