"""The bundled guests on a machine that is not ours.

Each image boots unchanged in QEMU, prints what it should and reports by its exit
value; results of the compute guests are held against Python's own.
"""

import binascii
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

QEMU = "qemu-system-i386"
NAMES = (
    *("hello", "counter", "dice", "disk", "ticker", "entropy", "primes"),
    *("sort", "crc", "faults", "smc", "storm"),
)
WORD = 0xFFFFFFFF
IMAGE_BYTES_MAX = 64 << 10


@dataclass(frozen=True)
class Run:
    output: str
    status: int

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


Boot = Callable[..., Run]


@pytest.fixture(scope="session")
def boot(guest_images: Path) -> Boot:
    """A function that boots an image in QEMU and waits until it has left."""
    if shutil.which(QEMU) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{QEMU} is not installed, and CI must not go without it")
        pytest.skip(f"{QEMU} is not installed")

    def boot(name: str, options: str = "", *qemu_options: str) -> Run:
        result = subprocess.run(
            [*command(guest_images / f"{name}.elf", options), *qemu_options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        # The debug exit device makes status 2 * value + 1; anything even is not the guest's.
        assert result.returncode & 1, result
        return Run(result.stdout.decode(), result.returncode >> 1)

    return boot


def command(image: Path, options: str) -> list[str]:
    return [
        *(QEMU, "-kernel", str(image), "-append", options),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
        *("-serial", "stdio", "-display", "none", "-no-reboot"),
    ]


@pytest.fixture
def counter(boot: Boot, guest_images: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A counter that has said that it is ready."""
    process = subprocess.Popen(
        command(guest_images / "counter.elf", ""), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"counter: ready\n"
    yield process
    process.kill()
    process.communicate()


def sieve(size: int) -> list[int]:
    is_prime = bytearray(b"\1") * size
    is_prime[:2] = b"\0\0"
    for number in range(2, int(size**0.5) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(len(range(number * number, size, number)))
    return [number for number in range(size) if is_prime[number]]


def primes_line(size: int, rounds: int) -> str:
    found = sieve(size)
    return (
        f"primes: count {len(found) * rounds} sum {sum(found) * rounds & WORD} largest {found[-1]}"
    )


def sort_line(size: int, rounds: int) -> str:
    state, checksum, numbers = 1, 0, list[int]()
    for _ in range(rounds):
        numbers = []
        for _ in range(size):
            state ^= state << 13 & WORD
            state ^= state >> 17
            state ^= state << 5 & WORD
            numbers.append(state)
        numbers.sort()
        checksum += sum(number * rank for rank, number in enumerate(numbers, 1))
    return f"sort: least {numbers[0]} greatest {numbers[-1]} checksum {checksum & WORD}"


def crc32c(data: bytes, crc: int) -> int:
    crc ^= WORD
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ WORD


def crc_line(size: int, rounds: int) -> str:
    data = bytes(i * 7 + (i >> 8) & 0xFF for i in range(size))
    by_table = by_bit = 0
    for _ in range(rounds):
        by_table = binascii.crc32(data, by_table)
        by_bit = crc32c(data, by_bit)
    return f"crc: crc32 0x{by_table:08x} crc32c 0x{by_bit:08x}"


@pytest.mark.parametrize("name", NAMES)
def test_image_is_small_and_bootable(guest_images: Path, name: str) -> None:
    image = (guest_images / f"{name}.elf").read_bytes()
    assert len(image) <= IMAGE_BYTES_MAX
    # ELF, 32 bits, little-endian, for the 386.
    assert image[:6] == b"\x7fELF\x01\x01"
    assert int.from_bytes(image[18:20], "little") == 3
    header = image.find((0x1BADB002).to_bytes(4, "little"), 0, 8192)
    assert header % 4 == 0
    words = [int.from_bytes(image[header + i : header + i + 4], "little") for i in (0, 4, 8)]
    assert sum(words) & WORD == 0


def test_every_guest_has_a_summary_and_an_image(guest_images: Path) -> None:
    summaries = tomllib.loads((guest_images / "guests.toml").read_text())
    assert set(summaries) == set(NAMES)
    assert all(list(entry) == ["summary"] and entry["summary"] for entry in summaries.values())


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("counter", "dice", "disk")]
)
def test_guest_names_itself_first_and_leaves_well(boot: Boot, name: str) -> None:
    run = boot(name)
    assert run.lines[0].startswith(f"{name}: ")
    assert run.status == 0
    assert "FAIL" not in run.output
    assert "\r" not in run.output
    assert run.output.endswith("\n")


def test_hello(boot: Boot) -> None:
    assert boot("hello") == Run("hello: hello, world\n", 0)


def test_counter_answers_keys(counter: subprocess.Popen[bytes]) -> None:
    output, _ = counter.communicate(b"iri\nxIi rq")
    assert output.split() == [b"1", b"1", b"2", b"3", b"3"]
    assert counter.returncode == 1


def test_counter_loses_no_key_of_many(counter: subprocess.Popen[bytes]) -> None:
    output, _ = counter.communicate(b"i" * 5000 + b"rq")
    assert output.decode().split() == [str(number) for number in (*range(1, 5001), 5000)]
    assert counter.returncode == 1


def test_counter_answers_each_key_before_the_next(counter: subprocess.Popen[bytes]) -> None:
    assert counter.stdin is not None
    assert counter.stdout is not None
    for number in range(1, 20):
        counter.stdin.write(b"i")
        counter.stdin.flush()
        assert counter.stdout.readline() == b"%d\n" % number
    output, _ = counter.communicate(b"q")
    assert (output, counter.returncode) == (b"", 1)


def throw(images: Path, *qemu_options: str) -> str:
    """Throw two dice, with a key between that means nothing."""
    process = subprocess.Popen(
        [*command(images / "dice.elf", ""), *qemu_options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"dice: ready\n"
    output, _ = process.communicate(b"txtq")
    assert process.returncode == 2 << 1 | 1
    return output.decode()


@pytest.mark.parametrize("cpu", ["max", "qemu32"], ids=["with RDRAND", "without"])
def test_dice_say_something_else_each_time(boot: Boot, guest_images: Path, cpu: str) -> None:
    runs = [throw(guest_images, "-cpu", cpu) for _ in range(2)]
    for run in runs:
        assert re.fullmatch(r"1: [1-6] at \d+\n2: [1-6] at \d+\n", run), run
    assert runs[0] != runs[1]


@pytest.mark.parametrize(
    ("options", "first", "ticks"),
    [
        ("", "ticker: 50 ticks at 100 Hz", range(5, 51, 5)),
        ("rate=1000 ticks=123", "ticker: 123 ticks at 1000 Hz", range(12, 124, 12)),
        ("ticks=3 rate=19", "ticker: 3 ticks at 19 Hz", range(1, 4)),
    ],
)
def test_ticker(boot: Boot, options: str, first: str, ticks: range) -> None:
    assert boot("ticker", options).lines == [
        first,
        *(f"tick {tick}" for tick in ticks),
        "ticker: done",
    ]


@pytest.mark.parametrize("value", ["18", "10001", "", "12x", "0x", "99999999999", "-1"])
def test_option_out_of_range_is_told(boot: Boot, value: str) -> None:
    message = "ticker: option rate needs a number from 19 to 10000\n"
    assert boot("ticker", f"rate={value} ticks=1") == Run(message, 2)


def test_entropy_prints_all_there_is(boot: Boot) -> None:
    run = boot("entropy", "n=2", "-cpu", "max,+rdseed")
    assert run.status == 0
    round_of = (
        r"round {}\n"
        r"tsc \d+, \d+ later\n"
        r"tscp \d+\n"
        r"rdrand 0x[0-9a-f]{{8}}\n"
        r"(rdseed 0x[0-9a-f]{{8}}\n)?"
        r"rtc 20\d\d-[01]\d-[0-3]\d [0-2]\d:[0-5]\d:[0-5]\d\n"
        r"pit \d+\n"
    )
    pattern = r"entropy: 2 rounds\n" + round_of.format(1) + round_of.format(2) + r"entropy: done\n"
    assert re.fullmatch(pattern, run.output), run.output


def test_entropy_leaves_out_what_the_processor_lacks(boot: Boot) -> None:
    output = boot("entropy", "n=1", "-cpu", "qemu32").output
    assert "tsc " in output
    assert "rdrand" not in output
    assert "rdseed" not in output


@pytest.mark.parametrize(("size", "rounds"), [(1000000, 8), (3, 1), (12345, 2)])
def test_primes(boot: Boot, size: int, rounds: int) -> None:
    run = boot("primes", f"size={size} rounds={rounds}")
    assert run.lines[1:] == [primes_line(size, rounds)]


@pytest.mark.parametrize(("size", "rounds"), [(262144, 2), (1, 1), (2, 3), (13, 50), (9999, 2)])
def test_sort(boot: Boot, size: int, rounds: int) -> None:
    run = boot("sort", f"size={size} rounds={rounds}")
    assert run.lines[1:] == [sort_line(size, rounds)]


@pytest.mark.parametrize(("size", "rounds"), [(65536, 3), (1, 1), (4097, 2)])
def test_crc(boot: Boot, size: int, rounds: int) -> None:
    run = boot("crc", f"size={size} rounds={rounds}")
    assert run.lines[1:] == [crc_line(size, rounds)]


@pytest.mark.parametrize("name", ["faults", "smc"])
@pytest.mark.parametrize(
    "qemu_options", [(), ("-icount", "shift=0"), ("-cpu", "max"), ("-m", "20M")]
)
def test_every_check_holds(boot: Boot, name: str, qemu_options: tuple[str, ...]) -> None:
    run = boot(name, "", *qemu_options)
    checks = [line for line in run.lines[1:-1] if line != "ring 3 says hello"]
    assert [line for line in checks if not line.endswith(": ok")] == []
    assert len(checks) == len(set(checks))
    assert run.lines[-1] == f"{name}: all {len(checks)} checks ok"
    assert run.status == 0


def test_triple_fault_resets_the_machine(boot: Boot, guest_images: Path) -> None:
    result = subprocess.run(
        command(guest_images / "faults.elf", "triple"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert result.stdout.splitlines()[-1] == b"faults: triple fault now"
    # With -no-reboot a reset ends QEMU, and no exit value was written.
    assert result.returncode == 0


def test_storm_is_a_function_of_its_seed(boot: Boot) -> None:
    runs = [boot("storm", f"seed={seed} ops=5000") for seed in (1, 1, 2, 0)]
    assert runs[0] == runs[1]
    assert len({run.lines[-1] for run in runs}) == 3
    assert boot("storm", "seed=1 ops=5000", "-icount", "shift=0", "-m", "20M") == runs[0]


def test_storm_with_nondeterminism_differs_each_time(boot: Boot) -> None:
    runs = [boot("storm", "ops=2000 nondet") for _ in range(2)]
    assert runs[0].lines[-1] != runs[1].lines[-1]
