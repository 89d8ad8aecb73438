"""`python -m ftvm` is the command `ftvm`."""

import signal
import sys


def main() -> int:
    """Carry out the command line of this process; returns the exit status."""
    # Until the command is loaded it has nothing to say on Ctrl-C, a traceback least.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ftvm.ui import cli

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
