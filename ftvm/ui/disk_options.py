"""--disk: raw images as the guest's drives, and what becomes of what it writes."""

import argparse
from typing import TYPE_CHECKING

from ftvm.errors import UsageError
from ftvm.ui.parsers import file_name

if TYPE_CHECKING:
    from ftvm.runtime.disk_image import DiskFile, DiskOption

_DISKS_MAX = 2


def add_disk_option(parser: argparse.ArgumentParser, remark: str = "") -> None:
    """Add --disk."""
    parser.add_argument(
        "--disk",
        metavar="FILE[,ro|,snapshot]",
        dest="disks",
        type=file_name,
        action="append",
        default=[],
        help="raw image of an ATA drive, given up to two times; what the guest writes is put into"
        " the file at the end, dropped with ,snapshot, refused with ,ro" + remark,
    )


def parse_disks(texts: list[str]) -> "tuple[DiskOption, ...]":
    """Read the options; UsageError if there are too many or one names nothing."""
    from ftvm.runtime.disk_image import DiskOption

    if len(texts) > _DISKS_MAX:
        raise UsageError(f"{len(texts)} times --disk: the ATA channel has {_DISKS_MAX} drives")
    options = []
    for text in texts:
        path, comma, word = text.rpartition(",")
        if comma and word == "ro":
            options.append(DiskOption(path, "ro"))
        elif comma and word == "snapshot":
            options.append(DiskOption(path, "snapshot"))
        else:
            options.append(DiskOption(text, None))
        if not options[-1].path:
            raise UsageError(f"--disk {text!r} names no file; give --disk FILE, FILE,ro and so on")
        try:
            options[-1].path.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{text!r} is not UTF-8 text; rename or retype it") from None
    return tuple(options)


def open_disks(options: "tuple[DiskOption, ...]", run: bytes) -> "tuple[DiskFile, ...]":
    """Open the images for a run, telling of what takes long; UsageError, HostError if not."""
    import os

    from ftvm.runtime.disk_image import open_image
    from ftvm.ui.progress import ProgressBar

    files = []
    for option in options:
        size = os.stat(option.path).st_size if os.path.isfile(option.path) else 0
        with ProgressBar(f"reading {option.path}", size) as bar:
            files.append(open_image(option.path, option.mode or "rw", run, bar.at))
    places = [os.fstat(file.descriptor) for file in files]
    if len({(place.st_dev, place.st_ino) for place in places}) < len(files):
        raise UsageError(f"--disk {options[1].path} is the same file as the other: give a copy")
    return tuple(files)
