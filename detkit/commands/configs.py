"""Lists the configs that can be named on the command line: ``detkit configs``."""

import argparse
from pathlib import Path
from typing import Dict

from detkit.config.names import names_of, title
from detkit.shipped import CONFIGS, folder


def main(args: argparse.Namespace) -> None:
    """Prints the names of the working directory's configs, then the shipped ones."""
    shipped, own = folder(CONFIGS), Path(CONFIGS)
    if own.is_dir() and own.resolve() != shipped.resolve():
        print(f"{own}/ in this folder")
        print(described(names_of(own)))
    print("shipped with detkit")
    print(described(names_of(shipped)))


def described(configs: Dict[str, Path]) -> str:
    """Returns a line for each config {name: path}: its name and its title."""
    width = max(map(len, configs), default=0)
    return "\n".join(f"  {name:{width}}  {title(path)}".rstrip() for name, path in configs.items())
