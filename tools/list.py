"""Lists the parts a config can name, with their arguments, and the plugins in ./plugins."""

import argparse
import inspect
import sys

import detkit.parts  # noqa: F401
from detkit.cli import debug_argument, run
from detkit.config.yaml import display_path
from detkit.errors import ConfigError
from detkit.plugins import import_folder
from detkit.registry import REGISTRIES, signature
from detkit.wording import did_you_mean


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", metavar="KIND", nargs="*", help=f"any of {', '.join(REGISTRIES)}")
    debug_argument(parser)
    kinds = parser.parse_args(argv).kinds or list(REGISTRIES)
    for kind in kinds:
        if kind not in REGISTRIES:
            hint = did_you_mean(kind, REGISTRIES)
            raise ConfigError(f"unknown kind {kind!r}{hint}\n  kinds: {', '.join(REGISTRIES)}")
    plugins = import_folder("plugins")
    for kind in kinds:
        print(describe(kind, REGISTRIES[kind]))
    print("plugins")
    for file in plugins.files:
        print(f"  {display_path(file)}")
    for failure in plugins.failures:
        print(f"  failed: {failure}")


def describe(kind, registry):
    """The kind, then for each name its signature and the first line of its docstring."""
    lines = [kind]
    for name in registry.names():
        target = registry.get(name)
        lines.append(f"  {name}{_arguments(target)}")
        lines += [f"      {line}" for line in (target.__doc__ or "").strip().splitlines()[:1]]
    return "\n".join(lines)


def _arguments(target):
    """A signature; of what takes nothing but parts, their names."""
    parts, (_, others_pass) = getattr(target, "PARTS", None), signature(target)
    return f"({', '.join(parts)})" if parts and others_pass else inspect.signature(target)


if __name__ == "__main__":
    sys.exit(run(main))
