"""What a kernel is given beside its image, as options of the commands that boot one."""

import argparse
from pathlib import Path

from ftvm.errors import UsageError
from ftvm.ui.images import read_image
from ftvm.ui.parsers import file_name


def add_boot_options(parser: argparse.ArgumentParser) -> None:
    """Add --initrd and --module."""
    parser.add_argument(
        "--initrd", metavar="FILE", type=file_name, help="initial RAM disk of a Linux kernel"
    )
    parser.add_argument(
        "--module",
        metavar="'FILE [TEXT]'",
        type=file_name,
        dest="modules",
        action="append",
        default=[],
        help="module of a Multiboot kernel, and what to tell it of it; may be repeated",
    )


def find_initrd(args: argparse.Namespace) -> Path | None:
    """Return the path of the initial RAM disk, None if there is none."""
    return None if args.initrd is None else Path(args.initrd)


def check_boot(args: argparse.Namespace, image: Path, memory_bytes: int, append: str) -> None:
    """Raise UsageError, which says why, if a machine cannot be booted so."""
    from ftvm.machine.boot.image import plan_boot  # for commands that boot
    from ftvm.runtime.boot_files import read_boot_files

    initrd = find_initrd(args)
    for text in (str(image), append, str(initrd or ""), *args.modules):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{text!r} is not UTF-8 text; rename or retype it") from None
    modules = tuple(args.modules)
    plan_boot(read_boot_files(image, image.name, append, initrd, modules, read_image), memory_bytes)
