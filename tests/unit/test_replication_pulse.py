"""Heartbeats between two who are not equally patient."""

from hypothesis import given
from hypothesis import strategies as st

from ftvm.replication.messages import Heartbeat
from ftvm.replication.pulse import INTERVAL_MIN_NS, Pulse
from ftvm.replication.settings import settings_for
from ftvm.units import InstructionCount, Nanoseconds

MS = 1_000_000
patience = st.integers(100 * MS, 100_000 * MS)


@given(patience, patience)
def test_nobody_is_taken_for_lost_by_one_who_is_less_patient(ours: int, theirs: int) -> None:
    pulses = [Pulse(settings_for(Nanoseconds(ns)), Nanoseconds(0)) for ns in (ours, theirs)]
    now = Nanoseconds(0)
    for _ in range(200):
        for here, there in (pulses, pulses[::-1]):
            assert not here.silent(now)
            if here.beat_due(now):
                there.heard(now)
                there.felt(here.beat())
        now = min(pulse.deadline() for pulse in pulses)


def test_a_peer_without_any_patience_is_not_served_without_end() -> None:
    pulse = Pulse(settings_for(), Nanoseconds(0))
    pulse.felt(Heartbeat(InstructionCount(0), Nanoseconds(1)))
    assert pulse.beat_due(Nanoseconds(0))
    assert pulse.deadline() == INTERVAL_MIN_NS
