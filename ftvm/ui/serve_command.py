"""`ftvm serve`: a host of its own, that runs a guest or backs up one that runs elsewhere."""

import argparse
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ftvm.errors import UsageError
from ftvm.ui.arguments import parse_size
from ftvm.ui.boot_options import add_boot_options, check_boot
from ftvm.ui.disk_options import add_disk_option, open_disks, parse_disks
from ftvm.ui.images import find_image
from ftvm.ui.pace_options import add_pace_options, find_pace
from ftvm.ui.parsers import Subparsers, add_command, directory_name, file_name
from ftvm.ui.record_options import add_record_option, claim_recording, find_record
from ftvm.ui.secret_options import add_secret_options, find_security

if TYPE_CHECKING:
    from ftvm.runtime.addresses import Address
    from ftvm.runtime.control import NodeConfig

_DESCRIPTION = """\
Runs one host of a fault-tolerant guest. With an IMAGE it is the primary, and
runs alone until somebody joins; with --join it becomes the backup of whichever
of those hosts is a primary without one, now or as soon as there is one."""

_EPILOG = """\
stores (URL), where the hosts decide who goes on when they lose each other:
  /DIR, file:///DIR           a directory that all hosts share, new for each run
  etcd://HOST:PORT[/PREFIX]   etcd

leaving on purpose:
  Ctrl-C or SIGTERM on a primary leaves the guest to its backup; without one
  the guest is stopped. On a backup it leaves the guest unprotected. A second
  one ends at once, as a crash would.

exit status:
  0..255  how the guest ended, see ftvm run; 0 if it goes on elsewhere
  2       wrong options, image, key or store
  122     this backup differed from its primary
  123     halted: another host has the guest
  125     the host failed         130, 143  Ctrl-C, SIGTERM: guest stopped

examples:
  ftvm serve guest:counter --listen 127.0.0.1:7001 --store /tmp/pair
  ftvm serve --join 127.0.0.1:7001 --listen 127.0.0.1:7002 --store /tmp/pair
  ftvm serve kernel.elf --listen 10.0.0.1:7000 --store etcd://10.0.0.9:2379 \\
             --key-file pair.key
  ftvm serve --join 10.0.0.1:7000,10.0.0.2:7000 --listen 10.0.0.3:7000 \\
             --store etcd://10.0.0.9:2379 --key-file pair.key
  ftvm serve --join 10.0.0.1:7000 --listen 10.0.0.2:7000 --store /net/pair \\
             --key-file pair.key --disk /srv/copy-of-disk.img"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "serve",
        carry_out,
        "run a guest on this host, or be its backup",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "image",
        metavar="IMAGE",
        type=file_name,
        nargs="?",
        help="path of an image, or guest:NAME (see ftvm guests)",
    )
    parser.add_argument(
        "--join",
        metavar="HOST:PORT,...",
        help="be the backup of one of these hosts; this one is passed over",
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        required=True,
        help="where backups, consoles and status come in; [::1]:7000 for IPv6",
    )
    parser.add_argument(
        "--store", metavar="URL", required=True, help="the same for all hosts, see below"
    )
    parser.add_argument("--memory", metavar="SIZE", help="memory size (64M)")
    parser.add_argument("--append", metavar="TEXT", help="the kernel's command line")
    add_boot_options(parser)
    add_disk_option(parser, " (--join: the host's own copy, if it has another path)")
    add_pace_options(parser)
    add_record_option(parser, "this host's part of the run")
    parser.add_argument(
        "--journal",
        metavar="DIR",
        type=directory_name,
        help="write down there what ftvm audit judges, made if missing",
    )
    parser.add_argument(
        "--metrics", metavar="HOST:PORT", help="serve metrics for Prometheus at /metrics there"
    )
    add_secret_options(parser)


def carry_out(args: argparse.Namespace) -> int:
    """Check everything that can be checked, then be a host until its end."""
    from ftvm.runtime.addresses import parse_address, parse_addresses
    from ftvm.runtime.store_url import parse_store_url

    if (args.image is None) == (args.join is None):
        raise UsageError("give an IMAGE to run, or --join HOST:PORT to back up; see --help")
    parse_store_url(args.store).check()
    listen = parse_address(args.listen)
    join = parse_addresses(args.join) if args.join is not None else ()
    others = tuple(address for address in join if address != listen)
    if join and not others:
        raise UsageError(f"--join {listen} is this host itself: name another")
    metrics = parse_address(args.metrics) if args.metrics is not None else None
    disks = parse_disks(args.disks)
    config = _config(args, listen)
    security = find_security(args, (listen, *others))

    # Loaded here, so that what was wrong up to here has been told at once.
    from msgspec import structs

    from ftvm.runtime.journal_file import journal_path, make_directory
    from ftvm.ui.serving import serve

    if args.journal:
        make_directory(Path(args.journal))
        path = journal_path(Path(args.journal), config.name)
        config = structs.replace(config, journal=str(path))
    config = structs.replace(config, metrics=metrics is not None)
    record = find_record(args)
    if record is not None:
        claim_recording(record)
        config = structs.replace(config, record=str(record))
    return serve(config, listen, others, disks, security, metrics)


def _config(args: argparse.Namespace, listen: "Address") -> "NodeConfig":
    from ftvm.runtime.control import NodeConfig
    from ftvm.runtime.names import name_of

    name = name_of(listen)
    failure_timeout_ns, lag_bound_ns = find_pace(args)
    if args.image is None:
        if args.modules or any(
            option is not None for option in (args.memory, args.append, args.initrd)
        ):
            raise UsageError(
                "--memory, --append, --initrd and --module go with an IMAGE; a backup is sent its "
                "machine"
            )
        if args.lag_bound is not None:
            raise UsageError("--lag-bound goes with an IMAGE; a backup has that of its pair")
        return NodeConfig(
            name=name,
            role="recruit",
            store_url=args.store,
            hosted=True,
            failure_timeout_ns=failure_timeout_ns,
        )
    memory_bytes = parse_size(args.memory or "64M")
    append = args.append or ""
    path = find_image(args.image)
    check_boot(args, path, memory_bytes, append)
    run = secrets.token_bytes(16)
    return NodeConfig(
        name=name,
        role="primary",
        store_url=args.store,
        hosted=True,
        run=run.hex(),
        disks=open_disks(parse_disks(args.disks), run),
        image_path=str(path),
        image_name=path.name,
        append=append,
        initrd_path=args.initrd,
        modules=tuple(args.modules),
        memory_bytes=memory_bytes,
        epoch_s=int(time.time()),
        failure_timeout_ns=failure_timeout_ns,
        lag_bound_ns=lag_bound_ns,
    )
