"""Lists the parts that a config can name: ``detkit list``."""

import argparse
import inspect
from typing import Any

import detkit.parts  # noqa: F401
from detkit.config import display_path
from detkit.construct import signature
from detkit.errors import ConfigError
from detkit.plugins import find_installed, import_folder, import_installed
from detkit.registry import REGISTRIES, Registry
from detkit.wording import did_you_mean


def main(args: argparse.Namespace) -> None:
    """Prints the kinds, then the plugins."""
    kinds = args.kinds or list(REGISTRIES)
    for kind in kinds:
        if kind not in REGISTRIES:
            hint = did_you_mean(kind, REGISTRIES)
            raise ConfigError(
                f"KIND: expected one of {', '.join(REGISTRIES)}, found {kind!r}{hint}"
            )
    installed, own = import_installed(), import_folder("plugins")
    for kind in kinds:
        print(describe(kind, REGISTRIES[kind]))
    print("plugins")
    for plugin in find_installed()[0]:
        if plugin.module in installed.modules:
            print(f"  {plugin}")
    for file in own.files:
        print(f"  {display_path(file)}")
    for failure in (*installed.failures, *own.failures):
        print(f"  failed: {failure}")


def describe(kind: str, registry: Registry) -> str:
    """Returns the kind, then each name with its signature and its docstring's first line."""
    lines = [kind]
    for name in registry.names():
        target = registry.get(name)
        lines.append(f"  {name}{arguments_text(target)}")
        lines += [f"      {line}" for line in (target.__doc__ or "").strip().splitlines()[:1]]
    return "\n".join(lines)


def arguments_text(target: Any) -> str:
    """Returns a signature, or the names of the parts of something that takes only parts."""
    parts, (_, others_pass) = getattr(target, "PARTS", None), signature(target)
    return f"({', '.join(parts)})" if parts and others_pass else str(inspect.signature(target))
