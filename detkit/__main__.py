"""The command line: ``python -m detkit``, and the program ``detkit`` that pip installs."""

import sys

from detkit.cli import run
from detkit.commands.line import main


def program() -> int:
    """Runs the command line of this process; returns its exit status."""
    return run(main)


if __name__ == "__main__":
    sys.exit(program())
