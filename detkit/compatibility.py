"""MXNet 1.9.1 and GluonCV with the names that later versions of numpy and Python have removed.

MXNet's last release is of 2022. It uses ``numpy.bool`` and ``numpy.int``, which numpy 1.24 removed,
when it is imported and also later, for example in ``mx.np.array(...)[mask]``. It compares versions
with ``distutils``, which Python 3.12 removed. GluonCV uses ``numpy.float`` as well.

``support_mxnet`` gives these names to the modules of MXNet and GluonCV, and to no others. Python
asks a finder how a module is loaded. The finder of this module answers for PACKAGES alone. Its
loader runs their files, which it does not change, with an ``__import__`` of their own in
``__builtins__``. The documentation of ``exec`` describes this use of ``__builtins__``. What it
imports differs in two cases:

``numpy``: a copy of the module object, with NUMPY_NAMES if numpy lacks them, and without numpy's
    warning that MXNet lists the functions EXPIRED. The functions, types and submodules in the copy
    are numpy's own, so that arrays, random states and print options are the same for everybody. A
    function that somebody replaces in ``numpy`` or in ``builtins`` after the import of MXNet is not
    replaced for MXNet.
``distutils.version``: a module with VERSIONS, also in versions of Python that have distutils.

numpy itself, ``sys.modules`` and ``builtins`` stay as they are: ``numpy.bool`` of other code does
what it does without detkit. All versions of Python and numpy take this one path. Nothing here helps
an MXNet that was imported before detkit, which fails by itself with numpy 1.24 or Python 3.12. It
can be imported again after ``import detkit``. It cannot help with numpy 2, which also changed the
names, types and C interface that MXNet is made for.
"""

import builtins
import functools
import importlib
import re
import sys
import warnings
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any, Dict, Optional, Sequence, Tuple

PACKAGES = ("mxnet", "gluoncv")  # with all their modules
NUMPY_NAMES = {"bool": bool, "float": float, "int": int}
EXPIRED = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")  # numpy 1.20 and later warn of each use
VERSIONS = ("LooseVersion", "StrictVersion")  # of distutils.version


def support_mxnet() -> None:
    """Lets the modules of PACKAGES that are imported from now on see the names that they need.

    A second call does nothing.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the modules of PACKAGES as the other finders do, and nothing else."""

    def find_spec(
        self,
        fullname: str,
        path: Optional[Sequence[str]] = None,
        target: Optional[ModuleType] = None,
    ) -> Optional[ModuleSpec]:
        """Returns how a module is loaded, or None for other packages and what is not a .py file."""
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        spec = self._found_by_others(fullname, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec

    def _found_by_others(self, *wanted: Any) -> Optional[ModuleSpec]:
        """Returns what the first of the other finders finds, one of which may hide a package."""
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(*wanted)
            if spec is not None:
                return spec
        return None


class _Loader(SourceFileLoader):
    """Runs a module's file with the ``__import__`` of this module."""

    def exec_module(self, module: ModuleType) -> None:
        """Fills ``module``. Raises what its file raises."""
        again = "__builtins__" in vars(module)  # importlib.reload, which keeps submodules
        if module.__name__ in PACKAGES and not again:
            _forget_submodules(module.__name__)
        vars(module)["__builtins__"] = _builtins()
        super().exec_module(module)


def _forget_submodules(package: str) -> None:
    """Removes what an earlier import of ``package`` left that has failed halfway.

    Its submodules were run without the names, and Python would not run them again.
    """
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        del sys.modules[name]


@functools.lru_cache(maxsize=None)
def _builtins() -> Dict[str, Any]:
    """Returns the builtins that all modules of PACKAGES share."""
    return {**vars(builtins), "__import__": _import}


def _import(
    name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
) -> Any:
    """Does what an ``import`` statement does, for the modules of PACKAGES."""
    if name == "distutils.version" and fromlist:
        return _versions()
    module = builtins.__import__(name, globals, locals, fromlist, level)
    return _numpy() if module is sys.modules.get("numpy") else module


class _Numpy(ModuleType):
    """A copy of numpy's module object. What it lacks, numpy is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("numpy"), name)


@functools.lru_cache(maxsize=None)
def _numpy() -> ModuleType:
    """Returns numpy with NUMPY_NAMES; where numpy has a name, its own value is kept."""
    numpy = importlib.import_module("numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expired = {name: getattr(numpy, name) for name in EXPIRED}
    copy = _Numpy("numpy")
    vars(copy).update({**NUMPY_NAMES, **expired, **vars(numpy)})
    vars(copy).pop("__getattr__", None)  # _Numpy asks numpy, which then calls its own
    return copy


@functools.lru_cache(maxsize=None)
def _versions() -> ModuleType:
    """Returns a module with VERSIONS."""
    module = ModuleType("distutils.version")
    vars(module).update(dict.fromkeys(VERSIONS, Version))
    return module


@functools.total_ordering
class Version:
    """A version that is compared by its numbers, which is all that PACKAGES need.

    Letters do not count: "2.0b1" is (2, 0, 1). The other one may be a string.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return _numbers(self) == _numbers(other)

    def __lt__(self, other: object) -> bool:
        return _numbers(self) < _numbers(other)

    def __hash__(self) -> int:
        return hash(_numbers(self))


def _numbers(version: object) -> Tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", str(version))))
