"""`python -m ftvm` is the command `ftvm`."""

import sys

from ftvm.ui.cli import main

if __name__ == "__main__":
    sys.exit(main())
