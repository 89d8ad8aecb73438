"""The options by which a command that goes to other hosts proves itself."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ftvm.errors import UsageError
from ftvm.ui.parsers import file_name

if TYPE_CHECKING:  # slow to load
    from ftvm.runtime.addresses import Address
    from ftvm.runtime.security import Security


def add_secret_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    group = parser.add_argument_group(
        "secret",
        "Who has it is one of the pair: give the same everywhere. On loopback\n"
        "alone, without any of these, it is your own key (~/.config/ftvm/key).",
    )
    group.add_argument(
        "--key-file",
        metavar="FILE",
        type=file_name,
        help="64 hexadecimal digits, as `openssl rand -hex 32` makes",
    )
    group.add_argument(
        "--cert", metavar="FILE", type=file_name, help="this host's certificate, PEM"
    )
    group.add_argument("--cert-key", metavar="FILE", type=file_name, help="its private key")
    group.add_argument(
        "--ca", metavar="FILE", type=file_name, help="the authority that signed those of all hosts"
    )


def find_security(args: argparse.Namespace, addresses: "Iterable[Address]") -> "Security":
    """Return what the options say; UsageError if they do not go together or a file is wrong."""
    from ftvm.runtime.secret import security_for
    from ftvm.runtime.security import CertificateFiles

    key_file = Path(args.key_file) if args.key_file else None
    given = (args.cert, args.cert_key, args.ca)
    if not any(given):
        return security_for(addresses, key_file, None)
    if not all(given) or key_file is not None:
        raise UsageError("give --cert, --cert-key and --ca together, and no --key-file with them")
    cert, cert_key, ca = map(Path, given)
    return security_for(addresses, None, CertificateFiles(cert, cert_key, ca))
