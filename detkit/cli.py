"""The arguments, the output and the error handling that the command lines of all tools share."""

import argparse
import contextlib
import logging
import os
import sys
import traceback
from typing import Callable, Iterator, List, Optional

from detkit.errors import DetkitError

PROGRESS = "detkit.runner"  # the logger of the lines of a run
SPLITS = ("val", "test", "train")  # the sections of ``data`` that can be judged
NOTICE = {"notice": True}  # ``extra`` of a record that is seen like a warning and is none


def common_arguments(
    parser: argparse.ArgumentParser,
    config: str = "the YAML file that names the parts",
    required: bool = True,
    metavar: str = "CONFIG",
) -> None:
    """Adds CONFIG (``config``), ``--set`` (``overrides``, a list) and ``--debug``.

    config: the help of CONFIG, for a command that takes more than configs.
    required: whether CONFIG must be given.
    metavar: the word for CONFIG in the help, if it is usually something else.
    """
    parser.add_argument("config", metavar=metavar, nargs=None if required else "?", help=config)
    set_argument(parser, "the file, for example --set train.epochs=2")
    debug_argument(parser)


def set_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds ``--set`` (``overrides``, a list); what: the config whose values they replace."""
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY.KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help=f"values that replace those of {what}",
    )


def model_arguments(parser: argparse.ArgumentParser, checkpoint: str = "a checkpoint") -> None:
    """Adds CONFIG and CHECKPOINT, for both of which the folder of a run stands, and --set, --debug.

    checkpoint: what CHECKPOINT is the folder of.
    """
    common_arguments(
        parser, config="a run's folder, whose best checkpoint is taken, or a config and CHECKPOINT"
    )
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        nargs="?",
        help=f"the folder of {checkpoint}, beside a config",
    )


def lacks_checkpoint(args: argparse.Namespace, checkpoint: str = "a checkpoint") -> Optional[str]:
    """Returns a message if CHECKPOINT is missing beside a config, see ``model_arguments``."""
    if args.checkpoint is not None or os.path.lexists(args.config):
        return None
    return (
        f"CHECKPOINT: expected a run's folder alone, or a config and the folder of {checkpoint}, "
        f"found {args.config!r} alone, which is no folder"
    )


def debug_argument(parser: argparse.ArgumentParser) -> None:
    """Adds ``--debug`` to a tool that takes no config."""
    parser.add_argument(
        "--debug", action="store_true", help="show details, and the traceback of an error"
    )


def dataset_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the arguments that name a dataset: those of ``common_arguments``, and ``--split``.

    what: "images are drawn": the use that the command makes of the split, for the help.
    """
    common_arguments(parser, config="a config, a run's folder, or a folder of data")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="train",
        help=f"whose {what}; default: train, or all of a folder without splits",
    )


def split_argument(parser: argparse.ArgumentParser) -> None:
    """Adds ``--split``."""
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default=SPLITS[0],
        help="the images of data.val (the default), of data.test or of data.train; none of them "
        "is augmented",
    )


def proposals_argument(parser: argparse.ArgumentParser) -> None:
    """Adds ``--proposals``."""
    parser.add_argument(
        "--proposals",
        metavar="FILE",
        help="an .npz or a .mat of proposals of the images, for a detector that makes none of its "
        "own; an image is known by the name of its file without the suffix",
    )


def tta_argument(parser: argparse.ArgumentParser) -> None:
    """Adds ``--tta``."""
    parser.add_argument(
        "--tta",
        action="store_true",
        help="look at each image in the views of the config's section tta, and merge what is found "
        "in them (test-time augmentation); without the section: upright and mirrored",
    )


def tiles_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--tiles``, ``--overlap`` and ``--no-whole``; see ``lacks_tiles``."""
    parser.add_argument(
        "--tiles",
        type=positive,
        metavar="PIXELS",
        help="look at each image in tiles of this side, for small objects in large images, and as "
        "a whole; --batch-size is then the number of tiles that go through the network at once",
    )
    parser.add_argument(
        "--overlap",
        type=share,
        metavar="SHARE",
        help="with --tiles: the share of its side that a tile has in common with its neighbour "
        "(default: 0.2)",
    )
    parser.add_argument(
        "--no-whole",
        action="store_true",
        help="with --tiles: do not look at the image as a whole",
    )


def lacks_tiles(args: argparse.Namespace) -> Optional[str]:
    """Returns a message if ``--tiles`` is missing beside an option that needs it."""
    given = {"--overlap": args.overlap is not None, "--no-whole": args.no_whole}
    alone = [option for option, is_given in given.items() if is_given and args.tiles is None]
    return f"{alone[0]}: expected --tiles PIXELS beside it, found none" if alone else None


def positive(text: str) -> int:
    """Parses an argument that counts: a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def share(text: str) -> float:
    """Parses an argument that is a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text!r}")
    return value


def seconds(text: str) -> float:
    """Parses an argument that is a time: a number of seconds, at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds, found {text!r}")
    return value


def run(main: Callable[[List[str]], Optional[int]], argv: Optional[List[str]] = None) -> int:
    """Calls ``main(argv)`` and returns the exit status of the process.

    The status is main's own (None counts as 0), a DetkitError's (1), or 130 for an interrupt. A
    DetkitError is a fault of the input: only its message is printed, unless ``--debug`` is given.
    Any other exception is a bug and keeps its traceback.
    """
    argv = sys.argv[1:] if argv is None else argv
    with terminal_output(logging.DEBUG if "--debug" in argv else logging.INFO):
        try:
            return main(argv) or 0
        except DetkitError as error:
            if "--debug" in argv:
                traceback.print_exc()
            _tell(f"error: {error}")
            return error.status
        except KeyboardInterrupt:
            _tell("interrupted")
            return 130


@contextlib.contextmanager
def terminal_output(level: int = logging.INFO) -> Iterator[None]:
    """Writes what the package logs to the terminal, for the length of a ``with`` block.

    level: the least level of the records that are written.

    The lines of a run go to stdout and all others to stderr, above a progress bar if there is one.
    """
    logger, handler = logging.getLogger("detkit"), _Terminal()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Terminal(logging.Handler):
    """The handler of ``terminal_output``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record's line. Raises OSError if nobody reads the lines of a run any more."""
        stream = sys.stdout if record.name == PROGRESS else sys.stderr
        is_fault = record.levelno >= logging.WARNING and not hasattr(record, "notice")
        text = "warning: " * is_fault + self.format(record)
        # A bar is tqdm's, which moves it below the line. Tools without one do not import tqdm.
        write = sys.modules["tqdm"].tqdm.write if "tqdm" in sys.modules else print
        try:
            write(text, file=stream)
            stream.flush()
        except OSError:
            if record.name == PROGRESS:
                raise


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that was closed must not change the status
        print(text, file=sys.stderr, flush=True)
