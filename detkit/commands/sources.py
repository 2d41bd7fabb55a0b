"""The input of a command: a config, the folder of a run, or the folder of a dataset."""

import argparse
import os
from pathlib import Path
from typing import Dict, Iterable, Optional, Tuple

from detkit.build import build_dataset, open_config
from detkit.checkpoints import CONFIG, FOLDER
from detkit.config import Config
from detkit.config.names import SUFFIXES
from detkit.data.recognise import Source, read_source, recognise
from detkit.data.sample import Dataset
from detkit.errors import DataError
from detkit.loading import config_and_checkpoint

SETTINGS = "data.yaml"  # of a dataset in YOLO's layout


def config_of(path: str, overrides: Iterable[str] = ()) -> Optional[Config]:
    """Returns the Config of a file, of a name, or of a run's folder; None for data.

    A folder that holds neither a config nor checkpoints is data, and so is a file of
    another kind, and YOLO's data.yaml.
    Raises ConfigError and CheckpointError.
    """
    if os.path.isdir(path):
        if not any(os.path.exists(os.path.join(path, name)) for name in (CONFIG, FOLDER)):
            return None
        own = os.path.join(path, CONFIG)
        return open_config(
            own if os.path.isfile(own) else config_and_checkpoint(path)[0], overrides
        )
    is_data = not path.endswith(SUFFIXES) or os.path.basename(path) == SETTINGS
    if os.path.isfile(path) and is_data:
        return None
    return open_config(path, overrides)


def model_of(args: argparse.Namespace) -> Tuple[str, str]:
    """Returns the paths of the config and the checkpoint that CONFIG and CHECKPOINT mean.

    Raises CheckpointError for a folder alone that is no run and no checkpoint.
    """
    if args.checkpoint is None:
        return config_and_checkpoint(args.config)
    return args.config, args.checkpoint


def dataset_of(config: Optional[Config], path: str, split: Optional[str]) -> Dataset:
    """Returns the dataset of a split of a config, or, without a config, that of a folder of data.

    split: a key of ``data``; None: "train", or all of a folder without splits. Raises DataError
    with the splits that there are.
    """
    if config is not None:
        return build_dataset(config, split or "train")
    source = recognise(Path(path))
    datasets = _chosen(path, source, split)
    (dataset,) = datasets.values()
    return dataset


def _chosen(path: str, source: Source, split: Optional[str]) -> Dict[str, Dataset]:
    name = split or ("train" if "train" in source.splits else next(iter(source.splits)))
    if name not in source.splits:
        raise DataError(
            f"{path}: expected one of its splits, {', '.join(source.splits)}, found {name!r}"
        )
    return {name: read_source(source)[name]}
