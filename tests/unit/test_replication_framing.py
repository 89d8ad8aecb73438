"""Frames on both channels: their exact bytes, and what is refused and how."""

import pytest

from ftvm.errors import ProtocolError
from ftvm.replication.framing import FRAME_BYTES_MAX, PROTOCOL_VERSION, FrameDecoder, encode
from ftvm.replication.messages import (
    CONSOLE,
    DATA_BYTES_MAX,
    DETAIL,
    Ack,
    Channel,
    ConsoleHello,
    Entries,
    Goodbye,
    Heartbeat,
    Mark,
    Message,
    Output,
    Reason,
    Released,
    Role,
)
from ftvm.units import Generation, InstructionCount, LogPosition, StreamOffset

MARK = Mark(InstructionCount(0x0102), LogPosition(7))
MARK_FRAME = bytes.fromhex("00000013 01 03 0000000000000102 0000000000000007 00")


def decode_logging(data: bytes) -> list[Message]:
    decoder = FrameDecoder.for_logging()
    decoder.feed(data)
    messages = []
    while (message := decoder.next_message()) is not None:
        messages.append(message)
    return messages


def refusal(data: bytes, decoder: FrameDecoder | None = None) -> str:
    decoder = decoder or FrameDecoder.for_logging()
    decoder.feed(data)
    with pytest.raises(ProtocolError) as caught:
        all(iter(decoder.next_message, None))
    line = str(caught.value)
    assert line.isprintable()
    return line


def test_frame_is_length_version_type_fields() -> None:
    assert encode(MARK) == MARK_FRAME
    assert decode_logging(MARK_FRAME) == [MARK]


def test_data_and_text_stand_behind_their_lengths() -> None:
    assert encode(Entries(LogPosition(1), b"abc"))[6:] == bytes(7) + b"\1" + b"\0\0\0\3abc"
    assert encode(Goodbye(Reason.REFUSED, 5, "no"))[6:] == b"\3" + b"\0\0\0\5" + b"\0\2no"


def test_messages_come_out_whole_however_the_bytes_come_in() -> None:
    decoder = FrameDecoder.for_logging()
    seen = []
    for byte in MARK_FRAME * 2:
        decoder.feed(bytes([byte]))
        if (message := decoder.next_message()) is not None:
            seen.append(message)
    assert seen == [MARK, MARK]


def test_whole_messages_before_a_fault_are_delivered() -> None:
    decoder = FrameDecoder.for_logging()
    decoder.feed(MARK_FRAME + b"\xff" * 4)
    assert decoder.next_message() == MARK
    with pytest.raises(ProtocolError):
        decoder.next_message()


def test_fault_is_final() -> None:
    decoder = FrameDecoder.for_logging()
    first = refusal(b"\xff" * 4, decoder)
    assert refusal(MARK_FRAME, decoder) == first


def test_web_browser_is_told_apart_by_four_bytes() -> None:
    assert "does not speak this protocol" in refusal(b"GET ")


def test_frame_too_large_is_refused_by_its_length_alone() -> None:
    line = refusal((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
    assert str(FRAME_BYTES_MAX + 1) in line
    assert str(FRAME_BYTES_MAX) in line


def test_largest_payload_fits() -> None:
    entries = Entries(LogPosition(0), bytes(DATA_BYTES_MAX))
    assert decode_logging(encode(entries)) == [entries]


@pytest.mark.parametrize("length", [0, 1])
def test_frame_without_room_for_its_header_is_refused(length: int) -> None:
    assert f"frame of {length} bytes on the logging channel" in refusal(bytes([0, 0, 0, length]))


def test_other_version_is_refused_with_advice_before_the_rest_is_there() -> None:
    line = refusal(b"\0\0\0\x12" + bytes([PROTOCOL_VERSION + 1]))
    assert f"version {PROTOCOL_VERSION + 1}" in line
    assert "install the same ftvm on both sides" in line


def test_unknown_type_is_refused_before_the_rest_is_there() -> None:
    assert "type 200 is unknown on the logging channel" in refusal(b"\0\0\0\x12\x01\xc8")


def test_message_of_the_other_channel_is_refused() -> None:
    output = Output(Generation(1), CONSOLE, StreamOffset(0), b"x")
    assert "logging channel" in refusal(encode(output))
    assert "console channel" in refusal(MARK_FRAME, FrameDecoder.for_console())


def test_bytes_after_the_last_field_are_refused() -> None:
    longer = bytes.fromhex("00000014") + MARK_FRAME[4:] + b"\0"
    assert refusal(longer) == "Mark with 1 bytes after its last field"


def test_missing_field_is_refused() -> None:
    shorter = bytes.fromhex("00000012") + MARK_FRAME[4:-1]
    assert refusal(shorter).startswith("Mark.awaited: ")


def test_values_without_meaning_are_refused() -> None:
    flag = encode(Released(CONSOLE, StreamOffset(0), True))[:-1] + b"\2"
    assert refusal(flag).startswith("Released.wanted: flag of value 2")
    reason = bytearray(encode(Goodbye(Reason.REFUSED, 0, "")))
    reason[6] = 99
    assert refusal(bytes(reason)) == "Goodbye.reason: Reason has no value 99"


def test_text_that_could_harm_a_terminal_is_refused() -> None:
    for bad in (b"\x1b", b"\n", b"\x80"):
        frame = encode(Goodbye(Reason.REFUSED, 0, "x")).replace(b"\0\1x", b"\0\1" + bad)
        assert refusal(frame).startswith("Goodbye.detail: text")


def test_data_longer_than_its_frame_is_refused() -> None:
    frame = bytearray(encode(Entries(LogPosition(0), b"abc")))
    frame[14:18] = (4).to_bytes(4, "big")
    assert refusal(bytes(frame)) == "Entries.data: field of 4 bytes where 3 are left"


def test_channels_out_of_order_are_refused() -> None:
    pairs = ((Channel(1), StreamOffset(0)), (Channel(2), StreamOffset(0)))
    hello = ConsoleHello(Role.ENDPOINT, "c", bytes(16), Generation(0), pairs)
    frame = encode(hello)
    swapped = frame.replace(b"\0\1" + bytes(8) + b"\0\2", b"\0\2" + bytes(8) + b"\0\2")
    assert "ascending" in refusal(swapped, FrameDecoder.for_console())


def test_as_many_channels_as_agreed_and_no_more() -> None:
    def hello(channels: int) -> ConsoleHello:
        pairs = tuple((Channel(n), StreamOffset(0)) for n in range(channels))
        return ConsoleHello(Role.ENDPOINT, "c", bytes(16), Generation(0), pairs)

    decoder = FrameDecoder.for_console()
    decoder.feed(encode(hello(16)))
    assert decoder.next_message() == hello(16)
    with pytest.raises(ValueError, match="too many"):
        encode(hello(17))
    frame = bytearray(encode(hello(16)))
    frame[-16 * 10 - 1] = 17
    assert "17 channels where 16 are the limit" in refusal(bytes(frame), decoder)


@pytest.mark.parametrize(
    "message",
    [
        Heartbeat(InstructionCount(-1)),
        Heartbeat(InstructionCount(1 << 64)),
        Entries(LogPosition(0), bytes(DATA_BYTES_MAX + 1)),
        Goodbye(Reason.REFUSED, 0, "two\nlines"),
        Goodbye(Reason.REFUSED, 0, "x" * 401),
        ConsoleHello(Role.ENDPOINT, "c", b"short", Generation(0), ()),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_has_no_wire_form_is_our_own_fault(message: Message) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        encode(message)


def test_any_text_can_be_made_to_fit() -> None:
    assert DETAIL.fit(" two\n lines\x1b[0m ") == "two lines?[0m"
    assert len(DETAIL.fit("é" * 1000).encode()) <= 400
    assert DETAIL.fit("\ud800") == "?"


def test_mark_covers_by_count_and_by_position() -> None:
    mark = Mark(InstructionCount(10), LogPosition(20))

    def covers(count: int, position: int) -> bool:
        return mark.covers(InstructionCount(count), LogPosition(position))

    assert covers(10, 20)
    assert not covers(11, 20)
    assert not covers(10, 21)


def test_ack_is_not_a_mark() -> None:
    ack = Ack(MARK.count, MARK.position, InstructionCount(0))
    assert decode_logging(encode(ack)) == [ack]
