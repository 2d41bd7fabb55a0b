"""The folders that detkit ships beside its code: ``configs`` and ``deploy``, the C++ program.

In the checkout they are ``configs/`` and ``tools/deploy/``. In a wheel, setup.py puts them beside
this file.
"""

from pathlib import Path

from detkit.errors import DetkitError

CONFIGS, DEPLOY = "configs", "deploy"
_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[1]
_IN_CHECKOUT = {CONFIGS: _CHECKOUT / "configs", DEPLOY: _CHECKOUT / "tools" / "deploy"}


def folder(name: str) -> Path:
    """Returns the folder ``name``, CONFIGS or DEPLOY.

    Raises DetkitError if this copy of the package has none.
    """
    for path in (_HERE / name, _IN_CHECKOUT[name]):
        if path.is_dir():
            return path
    raise DetkitError(
        f"expected the folder {name!r} that detkit ships in {_HERE} or at {_IN_CHECKOUT[name]}, "
        "found neither; install detkit from its wheel, or use the package within its checkout"
    )


def in_checkout() -> bool:
    """Returns whether the package lies in its checkout, where folders for builds are at hand."""
    return not (_HERE / DEPLOY).is_dir()
