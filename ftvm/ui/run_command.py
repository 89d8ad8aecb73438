"""`ftvm run`: any image, its serial console on standard input and output."""

import argparse
import contextlib
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftvm.errors import UsageError
from ftvm.ui.arguments import parse_size
from ftvm.ui.boot_options import add_boot_options, check_boot, find_initrd
from ftvm.ui.disk_options import add_disk_option, open_disks, parse_disks
from ftvm.ui.exit_convention import add_exit_convention
from ftvm.ui.images import find_image
from ftvm.ui.pace_options import add_pace_options, find_pace
from ftvm.ui.parsers import Subparsers, add_command, directory_name, file_name
from ftvm.ui.record_options import add_record_option, find_record
from ftvm.ui.stream_options import add_screen_option, add_stream_options, open_streams

if TYPE_CHECKING:  # slow to load, and not needed to parse
    from ftvm.runtime.crash import CrashPoint
    from ftvm.runtime.run_spec import RunSpec
    from ftvm.ui.watch.run_watch import RunWatch

_DESCRIPTION = """\
Runs an ELF32 Multiboot 1 image or a Linux kernel (bzImage), gzipped or not,
under fault tolerance: a primary and a backup process in lockstep. Standard
input and output are its serial console (COM1).

At a terminal every key goes to the guest; Ctrl-A x leaves, Ctrl-A h helps.
In a pipe the guest goes on after the end of input until it ends by itself."""

_EPILOG = """\
crash points (WHEN), a real SIGKILL each:
  primary@instruction:N  when N instructions are done
  primary@output:K       when the K-th byte of console output is made
  primary@entry:K        when the K-th log entry is made
  primary@time:2s        2 s after the start; also 500ms
  primary@output-sent    output is sent to the console; :K for the K-th time
  backup@...             the same for the backup
  `ftvm run --crash list` names all. The second primary@ point is for the second
  primary of the run, the backup that went live, and so on; likewise backup@.

flips (WHERE):
  backup@instruction:N:ADDR:BIT
                         before instruction N + 1, bit BIT (0 to 7) of the byte
                         at guest-physical ADDR; primary@... for the primary

exit status:
  0..255  what the guest wrote to port 0xf4 (see --exit-convention); 0 if it
          halts for good, switches off, resets, or you leave (Ctrl-A x,
          --eof-exit)
  2       wrong options or image, no room for output or report
  120     triple fault             121  guest lost: no replica is left
  122     the replicas differed    125  the host failed
  130     Ctrl-C (SIGINT)          141  nobody reads the output
  143     SIGTERM

examples:
  ftvm run guest:counter
  echo iiiq | ftvm run guest:counter --crash primary@output:20
  ftvm run guest:primes --append "rounds=2" --memory 128M --report run.json
  ftvm run guest:primes --record r --flip backup@instruction:5000:0x105000:0
  ftvm run kernel.elf --solo < /dev/null
  ftvm run guest:disk --disk disk.img
  ftvm run tests.elf --exit-convention qemu --debugcon debug.txt < /dev/null
  ftvm run memtest86+ia32.bin --memory 8M --screen
  ftvm run vmlinuz --initrd initrd.gz --memory 256M --append console=ttyS0"""


class _Crash(argparse.Action):
    """Collects crash points; `list` prints all there are, and that is all."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if values != "list":
            setattr(namespace, self.dest, [*getattr(namespace, self.dest), values])
            return
        from ftvm.runtime.crash import all_points

        points = list(all_points())
        width = max(len(written) for written, _ in points)
        for written, summary in points:
            print(f"{written:{width}}  {summary}")
        parser.exit()


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
    add_image_arguments(parser)
    parser.add_argument("--solo", action="store_true", help="without a backup")
    parser.add_argument(
        "--crash",
        metavar="WHEN",
        action=_Crash,
        default=[],
        help="kill a replica at a crash point, see below; may be repeated; list names them",
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="where the replicas decide who goes on: file:///DIR, etcd://HOST:PORT (a directory"
        " of the run's own)",
    )
    add_record_option(parser)
    parser.add_argument(
        "--flip",
        metavar="WHERE",
        action="append",
        default=[],
        help="turn a bit of a replica's memory over, see below; may be repeated",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="a screen of the pair, with keys that kill, pause, cut and flip; new backups by key."
        " Not on a terminal: a line for each thing that happens",
    )
    add_session_arguments(parser)
    add_pace_options(parser)


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which guest is to be run."""
    parser.add_argument(
        "image",
        metavar="IMAGE",
        type=file_name,
        help="path of an image, or guest:NAME (see ftvm guests)",
    )
    parser.add_argument("--memory", metavar="SIZE", default="64M", help="memory size (64M)")
    parser.add_argument("--append", metavar="TEXT", default="", help="the kernel's command line")
    add_boot_options(parser)
    add_disk_option(parser)


def add_session_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how a guest is run on the standard streams."""
    parser.add_argument(
        "--report", metavar="FILE", type=file_name, help="write what the run came to, as JSON"
    )
    parser.add_argument(
        "--journal",
        metavar="DIR",
        type=directory_name,
        help="write down there what ftvm audit judges, made if missing",
    )
    parser.add_argument(
        "--metrics", metavar="HOST:PORT", help="serve metrics for Prometheus at /metrics there"
    )
    parser.add_argument(
        "--eof-exit",
        action="store_true",
        help="leave when the input is used up and the output quiet for 300 ms",
    )
    add_screen_option(parser)
    add_stream_options(parser)
    add_exit_convention(parser)


def carry_out(args: argparse.Namespace) -> int:
    """Check everything that can be checked, then run the guest."""
    from ftvm.runtime.addresses import parse_address

    memory_bytes = parse_size(args.memory)
    crashes = parse_crashes(args.crash, solo=args.solo)
    failure_timeout_ns, lag_bound_ns = find_pace(args)
    if args.watch and args.solo:
        raise UsageError("--watch shows a pair: leave out --solo")
    if args.watch and args.screen:
        raise UsageError("--watch shows the serial console: leave out --screen")
    metrics = parse_address(args.metrics) if args.metrics is not None else None
    path = find_image(args.image)
    disks = parse_disks(args.disks)
    check_boot(args, path, memory_bytes, args.append)

    # Loaded here, so that what was wrong up to here has been told at once.
    from ftvm.runtime.flip import parse_flip
    from ftvm.runtime.journal_file import make_empty_directory
    from ftvm.runtime.run_spec import RunSpec
    from ftvm.runtime.store_url import parse_store_url
    from ftvm.ui.terminal import takes_screen

    if args.store is not None:
        parse_store_url(args.store).check()
    flips = tuple(parse_flip(text, memory_bytes) for text in args.flip)
    if args.solo and any(flip.role == "backup" for flip in flips):
        raise UsageError("--solo has no backup to flip a bit of: leave out --flip backup@...")
    spec = RunSpec(
        image_path=path,
        image_name=path.name,
        memory_bytes=memory_bytes,
        append=args.append,
        initrd_path=find_initrd(args),
        modules=tuple(args.modules),
        solo=args.solo,
        crashes=crashes,
        epoch_s=int(time.time()),
        store_url=args.store,
        failure_timeout_ns=failure_timeout_ns,
        lag_bound_ns=lag_bound_ns,
        metrics=metrics,
        journals=Path(args.journal).absolute() if args.journal else None,
        record=find_record(args),
        disks=open_disks(disks, secrets.token_bytes(16)),
        flips=flips,
        screen=args.screen,
        protects=not (args.watch and takes_screen()),
    )
    if args.journal:
        make_empty_directory(Path(args.journal))
    return run_guest(spec, args, watch=args.watch)


def run_guest(spec: "RunSpec", args: argparse.Namespace, *, watch: bool = False) -> int:
    """Run a guest on the standard streams as the session's arguments say."""
    from ftvm.ui.report_file import ReportFile
    from ftvm.ui.session import Session
    from ftvm.ui.terminal import takes_screen

    held = ReportFile(args.report) if args.report else contextlib.nullcontext()
    with held as report_file, open_streams(args) as streams:
        convention = args.exit_convention
        session: RunWatch | Session
        if watch and takes_screen():
            from ftvm.ui.watch import run_watch  # which draws, and is slow to load

            session = run_watch.RunWatch(spec, streams, convention)
        elif watch:
            from ftvm.ui.watch.plain_run import PlainRun

            session = PlainRun(spec, streams, eof_exit=args.eof_exit, convention=convention)
        else:
            session = Session(spec, streams, eof_exit=args.eof_exit, convention=convention)
        report = session.run()
        if report_file is not None:
            report_file.write(report)
    return report.exit_status


def parse_crashes(texts: Sequence[str], *, solo: bool) -> "tuple[CrashPoint, ...]":
    """Read the crash points of a run; UsageError if some of them could never come."""
    from ftvm.runtime.crash import parse_crash_point

    crashes = tuple(parse_crash_point(text) for text in texts)
    if solo and any(crash.role == "backup" for crash in crashes):
        raise UsageError("--solo has no backup that could crash: leave out --crash backup@...")
    if solo and len(crashes) > 1:
        raise UsageError(f"{len(crashes)} crash points: --solo has one replica, which dies once")
    for crash in crashes:
        if solo and crash.step is not None and crash.step.needs_backup:
            raise UsageError(f"--solo never comes there: leave out --crash {crash}")
    return crashes
