"""What a node keeps of the guest's streams, and for how long."""

import pytest

from ftvm.errors import ProtocolError
from ftvm.replication.streams import InputStream, OutputStream, Piece
from ftvm.units import InstructionCount, LogPosition, StreamOffset


def everything(count: InstructionCount, position: LogPosition) -> bool:
    return True


def to(offset: int) -> StreamOffset:
    return StreamOffset(offset)


def produce(stream: OutputStream, count: int, data: bytes, position: int = 0) -> None:
    stream.produce(InstructionCount(count), LogPosition(position), data)


@pytest.fixture
def output() -> OutputStream:
    stream = OutputStream(limit_bytes=10)
    stream.wanted = True
    return stream


@pytest.fixture
def keys() -> InputStream:
    return InputStream(limit_bytes=10)


def test_outputs_leave_in_order_and_only_when_they_may(output: OutputStream) -> None:
    for count in (5, 7, 9):
        produce(output, count, b"%d" % count)
    assert output.held_bytes == 3
    assert [piece.count for piece in output.release(lambda count, _: count <= 7)] == [5, 7]
    assert output.released == 2
    assert output.read(to(0), output.released) == b"57"
    assert output.held_bytes == 1


def test_later_output_never_overtakes_one_that_must_wait(output: OutputStream) -> None:
    produce(output, 5, b"a", position=9)
    produce(output, 6, b"b", position=9)
    assert output.release(lambda count, position: count == 6) == []


def test_output_is_made_no_later_than_the_machine_stands(output: OutputStream) -> None:
    for count in (5, 9, 10):
        produce(output, count, b"x")
    output.reached(InstructionCount(8))
    assert [piece.count for piece in output.release(everything)] == [5, 8, 8]


def test_released_output_is_kept_until_confirmed(output: OutputStream) -> None:
    produce(output, 1, b"abcdef")
    output.release(everything)
    output.confirm(to(2))
    assert output.start == 2
    assert output.read(output.start, output.produced) == b"cdef"
    output.confirm(to(1))
    assert output.start == 2


def test_backup_may_hear_of_confirmation_before_it_computes(output: OutputStream) -> None:
    output.confirm(to(4))
    produce(output, 1, b"abc")
    assert (output.start, output.produced) == (3, 3)
    produce(output, 2, b"def")
    assert output.read(output.start, output.produced) == b"ef"
    assert output.release(everything) == [Piece(to(4), to(6), InstructionCount(2), LogPosition(0))]


def test_wanted_output_is_never_dropped_but_stops_the_guest(output: OutputStream) -> None:
    produce(output, 1, b"x" * 9)
    assert not output.full
    produce(output, 2, b"y" * 4)
    assert output.full
    assert output.start == 0
    output.release(everything)
    output.confirm(to(5))
    assert not output.full


def test_unwanted_output_does_not_stop_the_guest_and_keeps_its_tail(output: OutputStream) -> None:
    output.wanted = False
    for count in range(1, 6):
        produce(output, count, b"%d" % count * 5)
    assert not output.full
    assert output.read(output.start, output.produced) == b"4444455555"
    assert output.release(everything)[0].start == output.start


def test_input_comes_once_and_in_order(keys: InputStream) -> None:
    assert keys.accept(to(0), b"abc") == b"abc"
    assert keys.accept(to(0), b"abcde") == b"de"
    assert keys.accept(to(1), b"bc") == b""
    assert keys.accepted == 5


def test_missing_input_is_refused(keys: InputStream) -> None:
    with pytest.raises(ProtocolError, match="from offset 1 where 0 is next"):
        keys.accept(to(1), b"x")


def test_input_is_safe_only_when_what_took_it_is(keys: InputStream) -> None:
    keys.accept(to(0), b"abcd")
    keys.consume(to(2), InstructionCount(10), LogPosition(5))
    keys.consume(to(4), InstructionCount(20), LogPosition(9))
    assert not keys.settle(lambda count, _: count < 10)
    assert keys.settle(lambda count, _: count < 20)
    assert keys.safe == 2
    assert not keys.settle(lambda count, _: count < 20)


def test_more_input_than_agreed_is_refused(keys: InputStream) -> None:
    keys.accept(to(0), b"x" * 10)
    keys.consume(to(10), InstructionCount(1), LogPosition(1))
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        keys.accept(to(10), b"x")
    keys.settle(everything)
    assert keys.accept(to(10), b"x") == b"x"


def test_taking_nothing_is_no_step(keys: InputStream) -> None:
    keys.consume(to(0), InstructionCount(1), LogPosition(1))
    assert not keys.settle(everything)
    keys.consume(to(3), InstructionCount(2), LogPosition(2))
    with pytest.raises(ValueError, match="to 2 after 3"):
        keys.consume(to(2), InstructionCount(3), LogPosition(3))


def test_what_the_endpoint_lacks_is_counted(output: OutputStream) -> None:
    produce(output, 1, b"abc")
    assert output.unconfirmed_bytes == 3
    output.confirm(to(2))
    assert output.unconfirmed_bytes == 1
    output.confirm(to(9))
    assert output.unconfirmed_bytes == 0
