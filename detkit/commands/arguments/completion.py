"""Prints the script that completes commands, options and names of configs in a shell.

For bash: detkit completion bash > ~/.local/share/bash-completion/completions/detkit. For zsh:
detkit completion zsh > DIR/_detkit, where DIR is a folder of $fpath.
"""

import argparse

from detkit.cli import debug_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell that reads the script")
    debug_argument(parser)
