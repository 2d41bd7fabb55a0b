"""The pages that are made of the package: its modules, commands, parts and configs."""

import argparse
import ast
import functools
from pathlib import Path

import yaml
from docstrings import markdown
from guides import API, CONFIGS, ROOT, api_page, code

import detkit
import detkit.parts  # noqa: F401
from detkit.commands import line
from detkit.commands.list import arguments_text
from detkit.config.names import find_base, names_of, title
from detkit.registry import REGISTRIES

COMMANDS, PARTS = "reference/commands", "reference/parts"
HIDDEN = ("detkit/commands/arguments",)  # their texts are the pages of the commands
COLUMNS = 78  # of code
TEXT_ALONE = "{members: [], show_root_heading: false, show_root_toc_entry: false}"


def pages():
    """Returns {page: text} of the whole reference."""
    return {**_api(), **_commands(), **_parts(), **_configs()}


def navigation():
    """Returns the reference for mkdocs' ``nav``."""
    groups = {"API": _api(), "Command line": _commands(), "Parts": _parts(), "Configs": _configs()}
    return [{name: [{"Overview": first}, *rest]} for name, (first, *rest) in groups.items()]


# --- The modules ----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def _api():
    rooms = {api_page(room): room for room in _rooms()}
    links = "\n".join(_row(Path(page).name, room) for page, room in rooms.items())
    public = "\n".join(f"::: detkit.{name}\n" for name in detkit.__all__)
    lead = f"# The API\n\n{markdown(detkit.__doc__)}\n\n"
    index = f"{lead}| folder | what it is |\n|---|---|\n{links}\n\n{public}"
    return {f"{API}/index.md": index, **{page: _room(room) for page, room in rooms.items()}}


def _row(page, room):
    """Returns a folder of the package with the first sentence about it."""
    tree = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
    first = markdown(ast.get_docstring(tree).partition("\n")[0])
    return f"| [{room.replace('/', '.')}]({page}) | {first} |"


def _rooms():
    """Returns the folders of the package that have modules with documentation."""
    folders = {path.parent.relative_to(ROOT).as_posix() for path in _modules("detkit", "**/*.py")}
    return sorted(folders - set(HIDDEN))


def _modules(folder, pattern):
    found = (ROOT / folder).glob(pattern)
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _room(room):
    name = room.replace("/", ".")
    shown = [f"::: {name}\n    options: {TEXT_ALONE}\n"]
    for path in _modules(room, "*.py"):
        if not path.stem.startswith("__"):
            shown.append(f"::: {name}.{path.stem}\n")
    return f"# {name} {{#{name}}}\n\n" + "\n".join(shown)


# --- The commands ---------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def _commands():
    rows = [f"| [detkit {name}]({name}.md) | {text} |" for name, text in line.COMMANDS.items()]
    index = "# The command line\n\n| command | what it does |\n|---|---|\n" + "\n".join(rows)
    return {
        f"{COMMANDS}/index.md": f"{index}\n",
        **{f"{COMMANDS}/{name}.md": _command(name) for name in line.COMMANDS},
    }


def _command(name):
    module = line.arguments_of(name)
    width = functools.partial(argparse.HelpFormatter, width=COLUMNS)
    parser = argparse.ArgumentParser(f"detkit {name}", formatter_class=width)
    module.add_arguments(parser)
    return f"# detkit {name}\n\n{markdown(module.__doc__)}\n\n{code(parser.format_help(), 'text')}"


# --- The parts ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def _parts():
    kinds = "\n".join(
        f"- [{kind}]({kind}.md): {', '.join(f'`{name}`' for name in registry.names())}"
        for kind, registry in REGISTRIES.items()
    )
    lead = "The parts that a config can name with `type:`, by kind, as `detkit list` prints them."
    return {
        f"{PARTS}/index.md": f"# The parts\n\n{lead}\n\n{kinds}\n",
        **{f"{PARTS}/{kind}.md": _kind(kind, each) for kind, each in REGISTRIES.items()},
    }


def _kind(kind, registry):
    return f"# {kind}\n\n" + "\n".join(_part(name, registry.get(name)) for name in registry.names())


def _part(name, target):
    text = markdown(target.__doc__ or "")
    where = f"{target.__module__}.{target.__qualname__}"
    signature = code(_wrapped(f"{name}{arguments_text(target)}"), "python")
    return f"## {name}\n\n{signature}\n{text}\n\nSource: [`{where}`][{where}]\n"


def _wrapped(call):
    """Returns a call, with a line for each argument if it is longer than a line."""
    if len(call) <= COLUMNS:
        return call
    lines, depth = [""], 0
    for sign in call:
        depth += (sign in "([") - (sign in ")]")
        if sign == ")" and depth == 0:
            lines += [sign]
        elif not (sign == " " and lines[-1] == "    "):
            lines[-1] += sign
        if depth == 1 and sign in "(,":
            lines += ["    "]
    return "\n".join(lines)


# --- The configs ----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def _configs():
    shipped = names_of(ROOT / "configs")
    rows = [f"| [{name}]({name}.md) | {title(path)} |" for name, path in shipped.items()]
    lead = (
        "# The configs\n\n`detkit train NAME` trains one of them. "
        "[The guide](../../configs/README.md) explains them, and measures them."
    )
    table = "\n".join(["| name | what it is |", "|---|---|", *rows])
    return {
        f"{CONFIGS}/index.md": f"{lead}\n\n{table}\n",
        **{f"{CONFIGS}/{name}.md": _config(name, path) for name, path in shipped.items()},
    }


def _config(name, path):
    text = path.read_text(encoding="utf-8")
    return f"# {name}\n\n{_bases(text, name, path)}{code(text, 'yaml')}"


def _bases(text, name, path):
    """Returns a line with links to what a config inherits from, or nothing."""
    bases = yaml.safe_load(text).get("_base_", [])
    up = "../" * name.count("/")
    links = []
    for base in [bases] if isinstance(bases, str) else bases:
        found = Path(find_base(base, str(path), str(path), [])).resolve()
        other = found.relative_to(ROOT / "configs").with_suffix("").as_posix()
        links.append(f"[{other}]({up}{other}.md)")
    return f"Inherits from {', '.join(links)}.\n\n" if links else ""
