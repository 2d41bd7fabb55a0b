"""Trains every system from R-CNN to Mask R-CNN at equal passes over the images, and compares them.

Each step of each run is done once: the tool goes on where it was interrupted, and a training goes
on from its last checkpoint. After each system it writes lineage.json and lineage.md into --out.
Selective Search needs opencv-contrib-python, and R-CNN needs scikit-learn.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import detkit  # noqa: F401 - before MXNet
from detkit.build import build_dataset, build_evaluator, open_config
from detkit.cli import debug_argument, positive, run
from detkit.data.sample import Dataset
from detkit.detections.results import load_results
from detkit.evaluate.metrics import metrics_to_json
from lineage.judge import judge
from lineage.systems import (
    OWN,
    RPN_CONFIG,
    STORED_RPN,
    STORED_SEARCH,
    SYSTEMS,
    System,
    schedule,
    vgg16_instead,
)
from lineage.table import tables
from trainings.account import Account
from trainings.arguments import config_arguments
from trainings.records import read_json, write_json, write_text

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TORCHVISION = "torchvision"
SPLITS = ("train", "val")
JOINT = SYSTEMS["joint"]


class Lineage:
    """The runs below a folder, with the arguments of the command line."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args, self._out = args, Path(args.out)
        self.results: Dict[str, List[Dict[str, Any]]] = {}

    def run(self, name: str) -> None:
        """Makes the runs of a system and judges them."""
        if name == TORCHVISION:
            results = [self._torchvision(seed) for seed in range(self._args.seeds)]
            self.results["torchvision's Faster R-CNN"] = results
        else:
            system = SYSTEMS[name]
            seeds = range(self._args.seeds if system.seeds else 1)
            self.results[system.title] = [self._system(name, system, seed) for seed in seeds]
        self._write()

    def _system(self, name: str, system: System, seed: int) -> Dict[str, Any]:
        """Trains and judges a system once; returns its result."""
        account = Account(self._out / f"{name}-{seed}")
        stored = self._stored(system.proposals)
        overrides = self._overrides(system, seed)
        overrides += [f"data.{split}_proposals.path={path}" for split, path in stored.items()]
        config, work_dir = CONFIGS / system.config, account.folder / "work"
        made = ["--work-dir", work_dir, "--resume", "auto", "--set", *overrides]
        account.run("train", "train.py", config, *made)
        trained = work_dir / "config.yaml", work_dir / "checkpoints/best"
        steps = ["train"]
        if system.is_fitted:
            fitted = account.folder / "fitted"
            account.run("fit", "fit_svms.py", *trained, "--out", fitted)
            trained = fitted / "config.yaml", fitted / "checkpoints/step-00000000"
            steps.append("fit")
        path = account.folder / "result.json"
        if not path.is_file():
            print(f"{account.folder.name}: judge", flush=True)
            write_json(path, judge(*trained, stored.get("val")))
        result: Dict[str, Any] = read_json(path)
        return {
            **result,
            "seed": seed,
            "proposals": self._source(system.proposals),
            "minutes": account.minutes(*steps),
            "proposal_ms": self._proposal_ms(system.proposals),
        }

    def _stored(self, source: str) -> Dict[str, Path]:
        """Returns {split: file} of the stored proposals, which are made if they are missing."""
        if source == OWN:
            return {}
        account = Account(self._out / f"proposals-{source}")
        paths = {split: account.folder / f"{split}.npz" for split in SPLITS}
        overrides = self._overrides(JOINT, seed=0)
        if source == STORED_SEARCH:
            config = CONFIGS / JOINT.config
            for split, path in paths.items():
                where = ["--split", split, "--out", path, "--method", self._args.proposals]
                account.run(f"propose-{split}", "propose.py", config, *where, "--set", *overrides)
            return paths
        work_dir = account.folder / "work"
        made = ["--work-dir", work_dir, "--resume", "auto", "--set", *overrides]
        account.run("train", "train.py", CONFIGS / RPN_CONFIG, *made)
        for split, path in paths.items():
            trained = work_dir / "config.yaml", work_dir / "checkpoints/best"
            where = ["--split", split, "--out", path, "--work-dir", account.folder]
            account.run(f"propose-{split}", "test.py", *trained, *where)
        return paths

    def _overrides(self, system: System, seed: int) -> List[str]:
        args = self._args
        given = [f"seed={seed}", *schedule(args.epochs, system.stages)]
        given += vgg16_instead(system) if args.vgg16 else ()
        given += [f"model.backbone.pretrained={args.weights}"] if args.weights else []
        return [*given, *args.overrides]

    def _source(self, source: str) -> str:
        names = {OWN: "its RPN's", STORED_RPN: "another RPN's"}
        return names.get(source, self._args.proposals.replace("_", " "))

    def _proposal_ms(self, source: str) -> float:
        """Returns the milliseconds that the stored proposals of an image took."""
        if source == OWN:
            return 0.0
        account = Account(self._out / f"proposals-{source}")
        images = len(build_dataset(self._joint_config(), "val"))
        return 60_000 * account.minutes("propose-val") / images

    def _joint_config(self) -> Any:
        return open_config(str(CONFIGS / JOINT.config), self._overrides(JOINT, seed=0))

    def _torchvision(self, seed: int) -> Dict[str, Any]:
        """Trains torchvision's detector once on the data of "joint"; returns its result."""
        account = Account(self._out / f"{TORCHVISION}-{seed}")
        config = self._joint_config()
        job = account.folder / "job.json"
        write_json(job, torchvision_job(config, self._args, seed))
        script = Path(__file__).with_name("lineage") / "train_torchvision.py"
        account.run("train", self._args.torchvision, script, job)
        dataset = build_dataset(config, "val")
        found = load_results(str(job.with_name("detections.json")), dataset)
        taken = read_json(job.with_name("detections.time.json"))
        return {
            **metrics_to_json(build_evaluator(config)(dataset, found)),
            **taken,
            "seed": seed,
            "proposals": self._source(OWN),
            "minutes": account.minutes("train"),
            "proposal_ms": 0.0,
        }

    def _write(self) -> None:
        write_json(self._out / "lineage.json", self.results)
        write_text(self._out / "lineage.md", tables(self.results))


def torchvision_job(config: Any, args: argparse.Namespace, seed: int) -> Dict[str, Any]:
    """Returns the job of train_torchvision.py: the data and the schedule of "joint"."""
    data, train = config["data"], config["train"]
    resize = data["val_transforms"][0]
    return {
        "folder": str(Path(data["train"]["root"], "JPEGImages").resolve()),
        "classes": len(data["train"]["class_names"]),
        "train": _objects(build_dataset(config, "train")),
        "val": [image["name"] for image in _objects(build_dataset(config, "val"))],
        "short": resize["short"],
        "long": resize["long"],
        "anchors": list(config["model"]["anchors"]["sizes"]),
        "rois": config["train_step"]["roi_targets"]["sampler"]["size"],
        "lr": train["lr"],
        "weight_decay": train["weight_decay"],
        "drop": train["schedule"]["drops"][0] / args.epochs,
        "warmup_steps": train["schedule"]["warmup_steps"],
        "epochs": args.epochs,
        "weights": args.weights,
        "threads": args.threads,
        "seed": seed,
    }


def _objects(dataset: Dataset) -> List[Dict[str, Any]]:
    """Returns the name, the boxes and the labels of each image of a VOC dataset."""
    images = [dataset.annotation(index) for index in range(len(dataset))]
    return [
        {
            "name": image.image_id,
            "boxes": image.boxes[~image.difficult].tolist(),
            "labels": image.labels[~image.difficult].tolist(),
        }
        for image in images
    ]


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Makes the runs, writes the tables, prints them."""
    args = parsed(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the time of an attempt is kept
    lineage = Lineage(args)
    for name in args.systems:
        lineage.run(name)
    print(tables(lineage.results))


def parsed(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    every = (*SYSTEMS, TORCHVISION)
    parser.add_argument(
        "systems",
        nargs="*",
        metavar="SYSTEM",
        help=f"some of {', '.join(every)}; default: detkit's",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder of all runs")
    add_options(parser)
    debug_argument(parser)
    args = parser.parse_args(argv)
    for name in args.systems:
        if name not in every:
            parser.error(f"SYSTEM: expected one of {', '.join(every)}, found {name!r}")
    if TORCHVISION in args.systems and not (args.torchvision and args.weights):
        parser.error("torchvision: expected --torchvision PYTHON and --weights PATH with it")
    if args.epochs % max(system.stages for system in SYSTEMS.values()):
        parser.error(
            "--epochs: expected a multiple of 4, which the stages of the alternating regime "
            f"share, found {args.epochs}"
        )
    args.systems = args.systems or list(SYSTEMS)
    return args


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say how the systems are trained."""
    parser.add_argument(
        "--epochs", type=positive, default=4, help="passes over the images of each system: 4"
    )
    parser.add_argument("--seeds", type=positive, default=3, help="of Faster R-CNN's runs: 3")
    config_arguments(parser)
    parser.add_argument("--vgg16", action="store_true", help="VGG16 instead of MobileNetV2")
    parser.add_argument(
        "--proposals",
        choices=("selective_search", "sliding_windows"),
        default="selective_search",
        help="of the systems without an RPN; default: selective_search",
    )
    parser.add_argument(
        "--torchvision", metavar="PYTHON", help="the interpreter that has torchvision"
    )
    parser.add_argument("--threads", type=positive, default=2, help="of torchvision; default: 2")


if __name__ == "__main__":
    sys.exit(run(main))
