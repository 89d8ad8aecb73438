"""Guest images by the names that people give: a path, or guest:NAME for a bundled one."""

import difflib
import importlib.resources
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ftvm.errors import HostError, ImageError, UsageError

_PREFIX = "guest:"
_IMAGE_BYTES_MAX = 1 << 30


@dataclass(frozen=True)
class BundledGuest:
    """An image that comes with ftvm."""

    name: str
    path: Path
    summary: str


def bundled_guests() -> list[BundledGuest]:
    """Return the bundled guests in the order of their list; HostError if they are not there."""
    folder = importlib.resources.files("ftvm") / "guests"
    try:
        listed = tomllib.loads((folder / "guests.toml").read_text(encoding="utf-8"))
    except OSError:
        raise HostError("the bundled guests are not installed; install ftvm again") from None
    return [
        BundledGuest(name, Path(str(folder / f"{name}.elf")), entry["summary"])
        for name, entry in listed.items()
    ]


def find_image(text: str) -> Path:
    """Return the image that `text` names; UsageError if it is a guest that is not there."""
    if not text.startswith(_PREFIX):
        return Path(text)
    wanted = text.removeprefix(_PREFIX)
    guests = {guest.name: guest.path for guest in bundled_guests()}
    if wanted in guests:
        return guests[wanted]
    near = difflib.get_close_matches(wanted, guests, n=1)
    hint = f"did you mean {_PREFIX}{near[0]}? " if near else ""
    raise UsageError(f"no bundled guest {wanted!r}: {hint}there are {', '.join(guests)}")


def read_image(path: Path) -> bytes:
    """Read an image; ImageError says what is wrong with the file."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{path}: is a directory; give a file")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path}: not a regular file; both replicas have to read it")
        if status.st_size > _IMAGE_BYTES_MAX:
            raise ImageError(f"{path}: {status.st_size} bytes are too many for an image")
        return path.read_bytes()
    except FileNotFoundError:
        bundled = f"; the bundled one is {_PREFIX}{path}" if _is_bundled(str(path)) else ""
        raise ImageError(f"{path}: no such file{bundled}") from None
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ImageError(f"{str(path)!r}: not a file's name") from None


def _is_bundled(name: str) -> bool:
    return name in {guest.name for guest in bundled_guests()}
