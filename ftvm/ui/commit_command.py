"""`ftvm commit`: what a run wrote to a disk and could not commit is put into its image."""

import argparse

from ftvm.ui.parsers import Subparsers, add_command, file_name, input_file

_DESCRIPTION = """\
Puts what a guest wrote to a disk into the image, if the run could not do it at
its end: no room on the disk, no right to write. The run said where the writes
are saved. The image must be as it was then; it is replaced whole or not at all.
The saved writes are deleted when that is done."""

_EPILOG = """\
exit status:
  0  done    2  no saved writes, or another image    125  no room, no right

examples:
  ftvm commit disk.img.ftvm-writes
  ftvm commit /tmp/disk.img.ftvm-writes --disk /new/place/disk.img"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "commit",
        carry_out,
        "put saved writes into a disk image",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "writes", metavar="WRITES", type=input_file, help="the file with the saved writes"
    )
    parser.add_argument("--disk", metavar="FILE", type=file_name, help="the image (where it was)")


def carry_out(args: argparse.Namespace) -> int:
    """Commit the writes."""
    import os
    import secrets

    from ftvm.errors import HostError
    from ftvm.runtime.disk_commit import commit_writes, read_writes
    from ftvm.runtime.disk_image import identify, open_image
    from ftvm.ui.notices import Notices

    writes = read_writes(args.writes)
    run = secrets.token_bytes(16)
    file = open_image(args.disk or writes.disk.path, "rw", run, saved=args.writes)
    identify(file, writes.disk)
    try:
        commit_writes(file, writes, run)
        os.unlink(args.writes)
    except OSError as error:
        raise HostError(f"disk {file.path}: cannot be committed: {error.strerror}") from None
    sectors = len(writes.sectors.sectors)
    Notices().info(f"{sectors:,} sectors are in {file.path}; {args.writes} is deleted")
    return 0
