"""Runs the lines of tools/docker/Dockerfile without docker, each stage in a changed root.

It needs root, and a folder --base in which ``python`` is the image that the stages begin with: a
Debian without more (``debootstrap --variant=minbase bookworm ROOT``) with a Python on its PATH. RUN
and COPY do what docker does, as root. In the end it prints how large the last stage is, runs its
ENTRYPOINT with its CMD as its USER, and trains for two steps. --print shows the lines of each
stage, and runs nothing.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from detkit.cli import debug_argument, run
from detkit.errors import DetkitError

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "tools/docker/Dockerfile"
KNOWN = ("ARG", "CMD", "COPY", "ENTRYPOINT", "FROM", "RUN", "USER", "WORKDIR")
# Runs a command in the root "$0" with /proc and /dev, which are unmounted when it ends.
MOUNT = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
SHELL = ("unshare", "--mount", "/bin/sh", "-c", MOUNT)
TRIAL = "train faster_rcnn_vgg16 --set train.epochs=null train.steps=2 data.val.length=2"


class Line(NamedTuple):
    """An instruction with the text behind it, and the number of its line."""

    number: int
    instruction: str
    text: str


class Stage(NamedTuple):
    """A FROM with the lines that follow it. ``name`` is "" without AS."""

    image: str
    name: str
    lines: List[Line]


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Runs the stages and the command of the image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", metavar="ROOT", type=Path, help="the root of the stages' image")
    parser.add_argument("--scratch", metavar="DIR", type=Path, help="a new folder for the stages")
    parser.add_argument("--print", dest="show", action="store_true", help="run nothing")
    debug_argument(parser)
    args = parser.parse_args(argv)
    stages = read_stages(DOCKERFILE.read_text(encoding="utf-8"))
    if args.show:
        for stage in stages:
            print(f"{stage.image} {stage.name}".rstrip())
            print(*(f"  {line.instruction} {line.text}" for line in stage.lines), sep="\n")
        return
    if args.base is None or args.scratch is None:
        parser.error("--base and --scratch are required, unless --print is given")
    roots: Dict[str, Path] = {}
    for number, stage in enumerate(stages):
        root = roots[stage.name] = args.scratch / f"{number}"
        if root.exists():
            raise DetkitError(f"--scratch: expected a folder without {number!r}, found {root}")
        args.scratch.mkdir(parents=True, exist_ok=True)
        enter(["cp", "-a", args.base, root])
        run_stage(stage, root, roots)
    enter(["du", "-sm", args.base, root])  # before the training, which writes into it
    for command in commands_of(stages[-1]):
        enter([*SHELL, root, *command])


def read_stages(text: str) -> List[Stage]:
    """Returns the stages of a Dockerfile, with the values of its ARGs.

    Raises DetkitError for an instruction that is not in KNOWN, and for one before the first FROM
    that is not ARG.
    """
    stages: List[Stage] = []
    values: Dict[str, str] = {}
    for line in read_lines(text):
        filled = re.sub(r"\$\{(\w+)\}", lambda match: values[match.group(1)], line.text)
        if line.instruction == "ARG":
            name, _, values[name] = line.text.partition("=")
        elif line.instruction == "FROM":
            image, *name = re.split(r"\s+AS\s+", filled)
            stages.append(Stage(image, "".join(name), []))
        elif line.instruction in KNOWN and stages:
            stages[-1].lines.append(line)
        else:
            raise DetkitError(
                f"{DOCKERFILE.name}:{line.number}: expected one of {', '.join(KNOWN)} in a stage, "
                f"found {line.instruction!r}"
            )
    return stages


def read_lines(text: str) -> List[Line]:
    """Returns the instructions of a Dockerfile: comments are left out, continued lines joined."""
    lines, begun, number = [], "", 0
    for count, row in enumerate(text.splitlines(), 1):
        if row.startswith("#") or not row.strip():
            continue
        number = number if begun else count
        begun += row.rstrip("\\").strip() + " "
        if not row.endswith("\\"):
            instruction, _, rest = begun.strip().partition(" ")
            lines.append(Line(number, instruction, rest))
            begun = ""
    return lines


def run_stage(stage: Stage, root: Path, roots: Dict[str, Path]) -> None:
    """Does what the COPY, RUN and WORKDIR of a stage say in the folder ``root``.

    roots: {name of a stage: its folder}, for ``COPY --from``. Raises DetkitError if a line fails.
    """
    folder = Path("/")
    for line in stage.lines:
        print(f"{DOCKERFILE.name}:{line.number}: {line.instruction} {line.text}", flush=True)
        if line.instruction == "WORKDIR":
            folder = Path(line.text)
            inside(root, folder).mkdir(parents=True, exist_ok=True)
        elif line.instruction == "COPY":
            *source, there, here = line.text.split()
            target = inside(root, folder / here)
            if source:
                other = roots[source[0].partition("=")[2]]
                shutil.copytree(inside(other, Path(there)), target)
            else:
                copy_context(target)
        elif line.instruction == "RUN":
            script = f"cd {folder} && {line.text}"
            enter([*SHELL, root, "/bin/sh", "-ec", script])


def commands_of(stage: Stage) -> List[List[str]]:
    """Returns what is run in the finished image: its CMD, and a training of two steps.

    Both are run as docker runs them: by the ENTRYPOINT, as the last USER, in the last WORKDIR. This
    folder is taken for the user's home.
    """
    last = {line.instruction: line.text for line in stage.lines}
    user, folder = last["USER"], last["WORKDIR"]
    program = ["runuser", "-u", user, "--", "env", f"--chdir={folder}", f"HOME={folder}"]
    program += json.loads(last["ENTRYPOINT"])
    return [[*program, *words] for words in (json.loads(last["CMD"]), TRIAL.split())]


def copy_context(target: Path) -> None:
    """Copies what ``COPY . .`` finds: the names that Dockerfile.dockerignore excepts with ``!``."""
    ignore = DOCKERFILE.with_name(DOCKERFILE.name + ".dockerignore").read_text(encoding="utf-8")
    for name in re.findall(r"^!(.+)$", ignore, re.MULTILINE):
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, target / name)


def inside(root: Path, path: Path) -> Path:
    """Returns where an absolute path of a stage lies on this machine."""
    return root / path.relative_to("/")


def enter(command: Sequence[object]) -> None:
    """Runs a command. Raises DetkitError if it fails."""
    status = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL).returncode
    if status != 0:
        raise DetkitError(f"{' '.join(map(str, command))}: expected status 0, found {status}")


if __name__ == "__main__":
    sys.exit(run(main))
