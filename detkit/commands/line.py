"""The command line ``detkit COMMAND ...``, and each command as a program of its own.

The arguments of a command are parsed before anything slow is imported. Therefore help, completion
and the messages about wrong arguments come at once, and need no MXNet.
"""

import argparse
import importlib
from typing import Any, Optional, Sequence

import detkit
from detkit.requirements import import_mxnet, import_opencv
from detkit.wording import did_you_mean

# Each with its line in --help, in the order of a project's life.
COMMANDS = {
    "doctor": "print what this machine has, and which operators are used",
    "configs": "list the configs that can be trained by name",
    "config": "print a config with its bases, or where each value was written",
    "list": "list the parts that a config can name",
    "init": "write a config for a folder of your own data",
    "browse": "draw images with their objects into a page",
    "convert": "write a dataset in another layout",
    "data": "check a dataset: list all its faults, write a corrected copy",
    "convert-weights": "turn another framework's detector into a run",
    "propose": "write proposals that need no training",
    "anchors": "compare anchors with the boxes of a dataset",
    "box-statistics": "measure the box targets of a Fast R-CNN",
    "train": "train a detector",
    "test": "evaluate a checkpoint or an export",
    "evaluate": "evaluate saved detections or proposals",
    "report": "write a page about detections, for a browser",
    "predict": "detect in images, videos and streams, and save what is found",
    "label": "pre-label images for a label tool",
    "fit-svms": "fit the SVMs and box regressors of an R-CNN",
    "compress": "make the layers of a trained head smaller",
    "export": "write files for Python, C++ and ONNX Runtime",
    "benchmark": "time a detector on this machine",
    "completion": "print the completion of a shell",
}
# MXNet reads the number of threads when it is imported, so that benchmark imports it itself. An
# .onnx needs none, so that predict and label import it with a checkpoint or a symbol.
WITHOUT_MXNET = (
    *("doctor", "configs", "init", "convert", "data", "benchmark", "completion"),
    *("predict", "label"),
)


def main(argv: Optional[Sequence[str]] = None) -> Optional[int]:
    """Runs a command with its arguments; the first of ``argv`` that is no option is its name.

    Returns the exit status; None is 0. Raises DetkitError, as the command does. An unknown command
    is an error of the command line.
    """
    parser = whole_parser()
    argv = list(argv or ["--help"])
    name = next((word for word in argv if not word.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        parser.error(
            f"COMMAND: expected one of {', '.join(COMMANDS)}, found {name!r}"
            f"{did_you_mean(name, COMMANDS)}"
        )
    return _run(parser.parse_args(argv))


def call(command: str, argv: Optional[Sequence[str]] = None) -> Optional[int]:
    """Runs one command with its arguments, ``sys.argv`` by default; see ``main``."""
    module = arguments_of(command)
    parser = argparse.ArgumentParser(description=module.__doc__)
    _fill(parser, command, module)
    return _run(parser.parse_args(argv))


def whole_parser() -> argparse.ArgumentParser:
    """Returns the parser of ``detkit``, with a parser for each command in it."""
    first, *_ = (detkit.__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(
        "detkit",
        usage="detkit [-h] [--version] COMMAND ...",
        description=first,
        epilog=_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"detkit {detkit.__version__}")
    commands = parser.add_subparsers(prog="detkit", metavar="COMMAND", help=argparse.SUPPRESS)
    commands.required = True
    for name, summary in COMMANDS.items():
        module = arguments_of(name)
        one = commands.add_parser(name, help=summary, description=module.__doc__)
        _fill(one, name, module)
    return parser


def _table() -> str:
    """Returns a line for each command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(["commands:", *lines, "", "detkit COMMAND --help explains a command."])


def arguments_of(command: str) -> Any:
    """Returns the module of ``commands/arguments/`` for a command."""
    return importlib.import_module(f"detkit.commands.arguments.{_module(command)}")


def _module(command: str) -> str:
    return command.replace("-", "_")


def _fill(parser: argparse.ArgumentParser, command: str, module: Any) -> None:
    """Adds the arguments of a command, and what ``_run`` has to know of it."""
    module.add_arguments(parser)
    parser.set_defaults(command=command, parser=parser, wrong=getattr(module, "wrong", None))


def _run(args: argparse.Namespace) -> Optional[int]:
    message = args.wrong and args.wrong(args)
    if message:
        args.parser.error(message)
    if args.command not in WITHOUT_MXNET:
        import_mxnet()
        import_opencv()
    command = importlib.import_module(f"detkit.commands.{_module(args.command)}")
    status: Optional[int] = command.main(args)
    return status
