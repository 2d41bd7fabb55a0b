"""The environment that makes a run, beside its config: versions, processor, operators, project.

A run writes it into its log and its checkpoints; ``tools/doctor.py`` prints it. Times and the names
of hosts are no part of it, so that two equal runs have equal checkpoints. MXNet is imported late,
because doctor explains an MXNet that cannot be imported.
"""

import importlib
import os
import platform
import re
import subprocess
from typing import Any, Dict, List, Mapping, Optional

import detkit
from detkit import processor
from detkit.files.disk import sha256_of
from detkit.plugins import find_installed
from detkit.threads import VARIABLE

LONGEST = 5.0  # seconds that git may take
SHOWN = 12  # digits of a sha256
_COMMIT = re.compile(r"[0-9a-f]{40,64}(-dirty)?")


def environment_of(project: str, device: Any) -> Dict[str, str]:
    """Returns {name: text} of the environment of a run on ``device``.

    project: the folder of the project. ``git`` is missing if it is not in a repository, and
    ``plugins`` if no installed package has some. The operators must be chosen.
    """
    found: Dict[str, Optional[str]] = {
        "python": platform.python_version(),
        "detkit": detkit.__version__,
        "mxnet": version_of("mxnet"),
        "numpy": version_of("numpy"),
        "opencv": version_of("cv2"),
        "processor": processor.name(),
        "instructions": processor.level().name,
        "operators": operators(),
        "threads": threads(),
        "device": str(device),
        "plugins": "; ".join(map(str, find_installed()[0])) or None,
        "git": git_state(project),
    }
    return {name: text for name, text in found.items() if text is not None}


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Returns what has changed from one environment to another, in one line; "" if nothing has."""
    lines: List[str] = []
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            lines.append(f"{name} {old.get(name, 'not known')} -> {new.get(name, 'not known')}")
    return ", ".join(lines)


def version_of(name: str) -> str:
    """Returns the version of a module, or why it cannot be imported."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return f"cannot be imported: {error}"
    return str(getattr(module, "__version__", "installed"))


def operators() -> str:
    """Returns whose operators and convolutions are used; of detkit's own, the library's sha256."""
    from detkit.ops import backend

    choice = backend.state.chosen or backend.choose()
    if choice.name != backend.NATIVE:
        return choice.name
    convolutions = "" if backend.own_convolutions() else ", MXNet's convolutions"
    path = backend.state.loaded
    digest = "" if path is None else f" {sha256_of(path)[:SHOWN]}"
    return f"{choice.name}{digest}{convolutions}"


def threads() -> str:
    """Returns the number of threads of MXNet's operators, as the environment sets it."""
    return os.environ.get(VARIABLE, "not set")


def git_state(folder: str) -> Optional[str]:
    """Returns the commit that is checked out in ``folder``, with "-dirty" if files have changed.

    Files that git does not track do not count. None is returned without git or a repository, or if
    git takes longer than LONGEST seconds.
    """
    command = ["git", "-c", "core.fsmonitor=false", "-C", folder]
    command += ["describe", "--always", "--dirty", "--abbrev=64", "--exclude=*"]
    environment = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"  # the repository is not written to
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = done.stdout.decode("ascii", "replace").strip()
    return text if _COMMIT.fullmatch(text) else None
