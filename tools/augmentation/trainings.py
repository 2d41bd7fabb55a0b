"""The trainings below a folder: each is made once, and an interrupted one goes on."""

import argparse
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

from detkit.cli import positive
from detkit.errors import DetkitError
from trainings.account import Account
from trainings.arguments import config_arguments
from trainings.records import read_json, write_json

from .bases import BASES, Change, overrides

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
METRICS = ("AP", "AP50", "mask_AP")
OVERRIDES = "overrides.json"


class Training(NamedTuple):
    """A training: a key of BASES, the number of its images, the name of its variant, its seed."""

    base: str
    images: int
    variant: str
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return "-".join(map(str, self))


class Trainings:
    """The trainings of the command line's arguments, below ``--out``."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args, self._out = args, Path(args.out)

    def result(self, training: Training, change: Change, *more: str) -> Dict[str, Any]:
        """Returns the metrics of a training, which is made if it is not there, and its CPU minutes.

        more: further overrides.

        Raises DetkitError if the folder holds a training with other overrides.
        """
        account = Account(self._out / training.name)
        given = [*self._overrides(training, change), *more, *self._args.overrides]
        check_overrides(account.folder / OVERRIDES, given)
        work = account.folder / "work"
        config = CONFIGS / BASES[training.base].config
        made = ["--work-dir", work, "--resume", "auto", "--set", *given]
        account.run("train", "train.py", config, *made)
        found = read_json(work / "result.json")
        figures = {name: found[name] for name in METRICS if name in found}
        return {"seed": training.seed, **figures, "minutes": account.cpu_minutes("train")}

    def is_done(self, training: Training) -> bool:
        """Returns whether the training is there."""
        steps = read_json(self._out / training.name / "account.json") or {}
        return bool(steps.get("train", {}).get("done"))

    def _overrides(self, training: Training, change: Change) -> List[str]:
        base, weights = BASES[training.base], self._args.weights
        given = overrides(base, change, training.images, self._args.steps, training.seed)
        return given + ([f"model.backbone.pretrained={weights}"] if weights else [])


def check_overrides(path: Path, given: Sequence[str]) -> None:
    """Notes the overrides of a training, or raises DetkitError if others were noted."""
    noted = read_json(path)
    if noted is None:
        write_json(path, list(given))
        return
    changed = [one for one in noted if one not in given] or ["nothing that is missing now"]
    if noted != list(given):
        raise DetkitError(
            f"{path}: expected the overrides of this command, found others: {', '.join(changed)}; "
            f"name another --out, or delete {path.parent} to train again"
        )


def plan(trainings: Trainings, wanted: Sequence[Training], steps: int) -> str:
    """Returns lines on the trainings and their time; each is listed once."""
    lines, total = [], 0.0
    for training in dict.fromkeys(wanted):
        base = BASES[training.base]
        minutes = (steps * base.step + base.judged * base.image) / 60
        done = trainings.is_done(training)
        total += 0 if done else minutes
        state = "is there" if done else f"about {minutes:.1f} minutes"
        lines.append(f"{training.name}: {state}")
    lines.append(f"{total:.0f} minutes in all, on one thread with AVX-512")
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of all trainings."""
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder of all trainings")
    config_arguments(parser)
    parser.add_argument(
        "--seeds", type=positive, default=2, help="trainings of each kind, on other images: 2"
    )
    parser.add_argument(
        "--steps", type=positive, default=450, help="of each training, an image each: 450"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the trainings and their time, and train none"
    )
