"""What is run: bundled guests and the programs of this folder, with their options."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LIBRARY = FOLDER.parent / "guest" / "lib"

# Those of guest/CMakeLists.txt, but with the x87 unit.
_COMPILER_OPTIONS = """
    -m32 -march=i686 -std=c11 -O2 -ffreestanding -fno-pic -fno-stack-protector
    -fno-asynchronous-unwind-tables -fcf-protection=none -ffunction-sections -fdata-sections
    -nostdlib -static -no-pie -Wl,--gc-sections -Wl,--build-id=none
    -Wl,-z,max-page-size=512 -Wl,-z,noexecstack
"""


class CannotRunError(Exception):
    """A benchmark cannot run here; the text says why."""


@dataclass(frozen=True)
class Workload:
    """A guest and its command line.

    With `stock`, it asks for nothing that the stock engine has not: neither
    interrupts nor exceptions.
    """

    guest: str
    options: str
    tiny_options: str
    stock: bool


WORKLOADS = (
    Workload("primes", "rounds=24", "size=20000 rounds=2", stock=True),
    Workload("sort", "rounds=6", "size=2000 rounds=2", stock=True),
    Workload("crc", "rounds=64", "size=2000 rounds=2", stock=True),
    Workload("calls", "rounds=4", "size=15 rounds=2", stock=True),
    Workload("dispatch", "rounds=10", "size=1000 rounds=2", stock=True),
    Workload("strings", "rounds=128", "size=2000 rounds=2", stock=True),
    Workload("pages", "rounds=1600", "size=200 rounds=2", stock=True),
    Workload("floats", "rounds=60", "size=8 rounds=2", stock=True),
    Workload("smc", "", "", stock=False),
    Workload("storm", "ops=120000", "ops=200", stock=False),
)


def build(guests: Iterable[str], into: Path) -> dict[str, Path]:
    """Return each guest's image, by name; those of this folder are compiled now.

    Raises CannotRunError if a bundled guest is not installed, or there is no
    compiler that can make one.
    """
    images = {}
    bundled = resources.files("ftvm") / "guests"
    for guest in guests:
        images[guest] = image = into / f"{guest}.elf"
        source = FOLDER / "programs" / f"{guest}.c"
        if source.exists():
            _compile(source, image)
            continue
        try:
            image.write_bytes((bundled / image.name).read_bytes())
        except OSError as error:
            raise CannotRunError(f"no bundled guest {guest}: {error}") from None
    return images


def _compile(source: Path, image: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise CannotRunError("there is no C compiler to build the guests of benchmarks/programs")
    library = [str(path) for path in sorted(LIBRARY.glob("*.[cS]"))]
    command = [
        compiler,
        *_COMPILER_OPTIONS.split(),
        f"-I{LIBRARY}",
        f"-Wl,-T,{LIBRARY / 'link.ld'}",
    ]
    result = subprocess.run(
        [*command, str(source), *library, "-o", str(image)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise CannotRunError(f"{source.name} does not compile: {result.stderr.strip()}")
