"""What a command's exit status says of a guest that wrote to port 0xf4."""

import argparse

OURS, QEMU = "ftvm", "qemu"


def add_exit_convention(parser: argparse.ArgumentParser) -> None:
    """Add --exit-convention."""
    parser.add_argument(
        "--exit-convention",
        choices=(OURS, QEMU),
        default=OURS,
        help="exit status for what the guest writes to port 0xf4: the value itself (ftvm, the"
        " default), or twice the value plus one, as QEMU's isa-debug-exit has it (qemu)",
    )


def exit_status_of(value: int, convention: str) -> int:
    """Return the exit status for `value`, 0 to 255, written to port 0xf4."""
    return value if convention == OURS else (value << 1 | 1) & 0xFF
