"""Prints the script that completes command lines in a shell: ``detkit completion``.

shtab writes the script from the parsers. It holds the commands, options and names of the shipped
configs as they are when it is printed, so that pressing TAB starts no Python.
"""

import argparse
from typing import Any, Dict

import shtab

from detkit.commands.line import whole_parser
from detkit.config.names import names_of
from detkit.shipped import CONFIGS, folder

# A config is a name of ./configs, a shipped one, or a file. "_file" in the name of the function of
# bash tells shtab that words with a slash are no end.
CONFIG = {"bash": "_detkit_config_files", "zsh": "_detkit_configs"}
COMPLETIONS: Dict[str, Any] = {  # by metavar
    **dict.fromkeys(("CONFIG", "MODEL"), CONFIG),
    **dict.fromkeys(("FILE", "SOURCE", "RESULTS"), shtab.FILE),
    **dict.fromkeys(("IMAGE", "IMAGES", "IMAGE_OR_FOLDER"), shtab.FILE),
    **dict.fromkeys(("DIR", "FOLDER", "CHECKPOINT", "OTHER"), shtab.DIRECTORY),
    **dict.fromkeys(("auto|PATH", "NAME|PATH"), shtab.DIRECTORY),
}
FUNCTIONS = {
    "bash": r"""
_detkit_config_files() {
  compgen -W "NAMES" -- "$1"
  [ -d configs ] && compgen -W "$(FOUND)" -- "$1"
  compgen -f -X '!*.yaml' -- "$1"
  compgen -d -- "$1"
}
""",
    "zsh": r"""
_detkit_configs() {
  compadd -- NAMES
  [[ -d configs ]] && compadd -- ${(f)"$(FOUND)"}
  _files -g '*.yaml'
}
""",
}
FOUND = r"cd configs && find . -name '*.yaml' | sed 's,^\./,,; s,\.yaml$,,'"


def main(args: argparse.Namespace) -> None:
    """Prints the script."""
    parser = whole_parser()
    _complete(parser)
    names = " ".join(names_of(folder(CONFIGS)))
    functions = {
        shell: text.replace("NAMES", names).replace("FOUND", FOUND)
        for shell, text in FUNCTIONS.items()
    }
    print(shtab.complete(parser, shell=args.shell, preamble=functions))


def _complete(parser: argparse.ArgumentParser) -> None:
    """Says of each argument of a parser, and of the commands in it, how it is completed."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            action.help = "COMMAND"  # shtab leaves out what --help leaves out
            for command in action.choices.values():
                _complete(command)
        elif isinstance(action.metavar, str) and action.metavar in COMPLETIONS:
            action.complete = COMPLETIONS[action.metavar]  # type: ignore[attr-defined]
