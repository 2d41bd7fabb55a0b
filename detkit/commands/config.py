"""Prints a config as detkit reads it: ``detkit config``."""

import argparse
from typing import Any

from detkit.build.augment import expand_augment
from detkit.build.regimes import expand_regime
from detkit.config import Config, dump_config, leaves, load_config, to_plain
from detkit.config.yaml import dump_yaml


def main(args: argparse.Namespace) -> None:
    """Prints the config."""
    config = load_config(args.config, args.overrides)
    expand_augment(config)
    expand_regime(config)
    print(origins(config) if args.origin else dump_config(config), end="")


def origins(config: Config) -> str:
    """Returns one line for each value: 'path: value  # file:line', the places aligned."""
    rows = [(f"{path}: {one_line(value)}", where) for path, value, where in leaves(config)]
    width = max((len(text) for text, _ in rows), default=0)
    return "".join(f"{text:{width}}  # {where}\n" for text, where in rows)


def one_line(value: Any) -> str:
    """Returns a scalar or a list of scalars as YAML, without the end-of-document mark."""
    return dump_yaml(to_plain(value)).split("\n...")[0].strip()
