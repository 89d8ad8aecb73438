"""`ftvm run`: any image, its serial console on standard input and output."""

import argparse
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from ftvm.errors import UsageError
from ftvm.runtime.crash import CrashPoint, parse_crash_point
from ftvm.ui.arguments import parse_size
from ftvm.ui.images import find_image, read_image
from ftvm.ui.parsers import Subparsers, add_command

_DESCRIPTION = """\
Runs an ELF32 Multiboot 1 image or a Linux kernel (bzImage), gzipped or not,
under fault tolerance: a primary and a backup process in lockstep. Standard
input and output are its serial console (COM1).

At a terminal every key goes to the guest; Ctrl-A x leaves, Ctrl-A h helps.
In a pipe the guest goes on after the end of input until it ends by itself."""

_EPILOG = """\
crash points (WHEN):
  primary@instruction:N  when N instructions are done
  primary@output:K       when the K-th byte of console output is made
  primary@entry:K        when the K-th log entry is made
  primary@time:2s        2 s after the start; also 500ms
  backup@...             the same for the backup
  A crash is a real SIGKILL. The second primary@ point is for the second
  primary of the run, the backup that went live. Two replicas die only twice.

exit status:
  0..255  what the guest wrote to port 0xf4; 0 if it halts for good, or if you
          leave (Ctrl-A x, --eof-exit)
  2       wrong options or image, no room for output or report
  120     triple fault             121  guest lost: both replicas are gone
  122     the replicas differed    125  the host failed
  130     Ctrl-C (SIGINT)          141  nobody reads the output
  143     SIGTERM

examples:
  ftvm run guest:counter
  echo iiiq | ftvm run guest:counter --crash primary@output:20
  ftvm run guest:primes --append "rounds=2" --memory 128M --report run.json
  ftvm run kernel.elf --solo < /dev/null
  ftvm run vmlinuz --initrd initrd.gz --memory 256M --append "console=ttyS0 nosmp" """


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "run",
        carry_out,
        "run an image under fault tolerance",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "image", metavar="IMAGE", help="path of an image, or guest:NAME (see ftvm guests)"
    )
    parser.add_argument("--solo", action="store_true", help="without a backup")
    parser.add_argument("--memory", metavar="SIZE", default="64M", help="memory size (64M)")
    parser.add_argument("--append", metavar="TEXT", default="", help="the kernel's command line")
    parser.add_argument("--initrd", metavar="FILE", help="initial RAM disk of a Linux kernel")
    parser.add_argument(
        "--module",
        metavar="'FILE [TEXT]'",
        action="append",
        default=[],
        help="module of a Multiboot kernel, and what to tell the kernel of it; may be repeated",
    )
    parser.add_argument(
        "--crash",
        metavar="WHEN",
        action="append",
        default=[],
        help="kill a replica at a crash point, see below; may be repeated",
    )
    parser.add_argument("--report", metavar="FILE", help="write what the run came to, as JSON")
    parser.add_argument(
        "--eof-exit",
        action="store_true",
        help="leave when the input is used up and the output quiet for 300 ms",
    )


def carry_out(args: argparse.Namespace) -> int:
    """Check everything that can be checked, then run the guest."""
    memory_bytes = parse_size(args.memory)
    crashes = parse_crashes(args.crash, solo=args.solo)
    path = find_image(args.image)
    initrd_path = None if args.initrd is None else Path(args.initrd)
    modules = tuple(args.module)
    check_boot(path, memory_bytes, args.append, initrd_path, modules)

    # Loaded here, so that what was wrong up to here has been told at once.
    from ftvm.runtime.supervisor import RunSpec
    from ftvm.ui.report_file import ReportFile
    from ftvm.ui.session import Session

    spec = RunSpec(
        image_path=path,
        image_name=path.name,
        memory_bytes=memory_bytes,
        append=args.append,
        initrd_path=initrd_path,
        modules=modules,
        solo=args.solo,
        crashes=crashes,
        epoch_s=int(time.time()),
    )
    with ReportFile(args.report) if args.report else contextlib.nullcontext() as report_file:
        report = Session(spec, eof_exit=args.eof_exit).run()
        if report_file is not None:
            report_file.write(report)
    return report.exit_status


def parse_crashes(texts: Sequence[str], *, solo: bool) -> tuple[CrashPoint, ...]:
    """Read the crash points of a run; UsageError if some of them could never come."""
    crashes = tuple(parse_crash_point(text) for text in texts)
    backups = sum(crash.role == "backup" for crash in crashes)
    if solo and backups:
        raise UsageError("--solo has no backup that could crash: leave out --crash backup@...")
    if backups > 1:
        raise UsageError("a run has one backup: give one --crash backup@... at most")
    replicas = 1 if solo else 2
    if len(crashes) > replicas:
        had = "one replica, which" if solo else "two replicas, each of which"
        raise UsageError(f"{len(crashes)} crash points: a run has {had} can die once")
    return crashes


def check_boot(
    path: Path,
    memory_bytes: int,
    append: str,
    initrd_path: Path | None,
    modules: tuple[str, ...],
) -> None:
    """Raise UsageError, which says why, if the image cannot be booted so."""
    from ftvm.machine.boot.image import plan_boot  # for commands that boot
    from ftvm.runtime.guest import read_boot_files

    for text in (str(path), append, str(initrd_path), *modules):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{text!r} is not UTF-8 text; rename or retype it") from None
    files = read_boot_files(path, path.name, append, initrd_path, modules, read_image)
    plan_boot(files, memory_bytes)
