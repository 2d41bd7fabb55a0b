"""The config of ``detkit train --from WEIGHTS --data FOLDER``: what the flags add to CONFIG.

The folder of the run gets ``data/``, as ``detkit init`` writes it, and ``start/NAME``, the run that
the weights of another framework become.
"""

import argparse
import os
from pathlib import Path
from typing import List, Optional, Tuple

from detkit import converters
from detkit.checkpoints import CONFIG
from detkit.commands.convert import refuse_within
from detkit.commands.init import write_config
from detkit.config import load_config, require, section
from detkit.config.names import find_config
from detkit.converters.run_folder import save_run
from detkit.converters.torchvision import MODELS
from detkit.data.own_config import Given
from detkit.data.own_data import read_own
from detkit.errors import CheckpointError, DetkitError, WeightsError
from detkit.loading import config_and_checkpoint
from detkit.weights.published import PUBLISHED, find_local
from detkit.weights.published import name_of as published_name
from detkit.wording import did_you_mean

DATA, START = "data", "start"  # folders in that of a run
WEIGHTS = (".pth", ".pt", ".params", ".pkl", ".safetensors")


def name_of(args: argparse.Namespace) -> str:
    """Returns the name of a run: that of its config, its weights or its data."""
    named = args.config or args.start or args.data
    return os.path.splitext(os.path.basename(os.path.abspath(named)))[0]


def config_of(args: argparse.Namespace, folder: str) -> Tuple[str, List[str]]:
    """Returns the path of the config that is trained, and its overrides, the user's last.

    folder: the place of the files that are written for --from and --data.

    Raises DetkitError for weights that are not there, and the errors of ``read_own``.
    """
    overrides: List[str] = []
    path = args.config
    if args.start:
        config, checkpoint = _started(args.start, Path(folder))
        path = path or config
        overrides.append(f"train.start_from={checkpoint}")
    if args.data:
        path = _on_data(path, args.data, Path(folder, DATA))
    if args.start and "pretrained" in section(section(load_config(path), "model"), "backbone"):
        overrides.append("model.backbone.pretrained=null")  # --from has a backbone's weights
    if args.time:
        overrides += [f"train.time={args.time}", "train.epochs=null", "train.steps=null"]
    return path, overrides + args.overrides


def _started(start: str, folder: Path) -> Tuple[str, str]:
    """Returns the config and the checkpoint of --from: those of a run, or of converted weights."""
    if os.path.isdir(start):
        return config_and_checkpoint(start)
    name = start if start in PUBLISHED else published_name(start)
    if name is None:
        raise _unknown(start)
    if name not in MODELS:
        raise WeightsError(
            f"--from {start}: expected the weights of a detector, found those of a classifier; "
            f"they are a backbone's: --set model.backbone.pretrained={start}"
        )
    run = folder / START / name
    if not (run / CONFIG).exists():
        try:
            file = find_local(name) if start == name else start
        except WeightsError as error:
            raise WeightsError(
                f"--from: {error}\n  or let detkit download it: detkit convert-weights torchvision "
                f"{name} --out work_dirs/{name}\n  and then: --from work_dirs/{name}"
            ) from error
        save_run(converters.from_torchvision(name, file, device="cpu"), str(run))
    return config_and_checkpoint(str(run))


def _unknown(start: str) -> DetkitError:
    """Returns the error of --from for what is neither a run nor weights that are known."""
    if os.path.isfile(start) and start.endswith(WEIGHTS):
        return WeightsError(
            f"--from {start}: expected a run, or weights whose file has the name that torchvision "
            "gives it, found other weights; say whose they are: detkit convert-weights FRAMEWORK "
            f"MODEL {start} --out RUN, then --from RUN"
        )
    return CheckpointError(
        f"--from {start}: expected the folder of a run or a checkpoint, or the name of a detector, "
        f"found neither{did_you_mean(start, MODELS)}\n  known: {', '.join(MODELS)}\n  detectors of "
        "Detectron2 and GluonCV: detkit convert-weights FRAMEWORK MODEL FILE --out RUN, then "
        "--from RUN"
    )


def _on_data(network: Optional[str], data: str, out: Path) -> str:
    """Returns a config like ``network`` on a folder of data; one in ``out`` is used as it is.

    network: a config, or None for the one that ``detkit init`` chooses.
    """
    config = out / CONFIG
    if config.exists():
        print(f"data     {config} is there and used as it is")
        return str(config)
    given, seed = None, 0
    if network:
        path = os.path.abspath(find_config(network))
        base = load_config(path)
        train, seed = require(base, "train", dict), base.get("seed", 0)
        given = Given(path, require(train, "lr", float) / require(train, "batch_size", int))
    own = read_own(data, seed=seed)
    refuse_within(Path(data).expanduser(), out.parent, "--work-dir")
    return str(write_config(out, data, own, seed, given))
