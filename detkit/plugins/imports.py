"""Imports the parts that live outside the package.

The plugins of installed packages (``installed.py``) are imported, then every ``plugins/*.py`` of
the project, then the files, packages and modules that the config lists under ``plugins:``. A
failing installed plugin or file of the folder is recorded, and a message about an unknown name
lists it. A failing file or module of the list is an error at once.

A plugin is a program. Without being listed, only the project's own folder is imported
(`Config.project_root`), and only if nobody but the user or root could have written it. Git treats
repositories of other owners in the same way (CVE-2022-24765).

The files of a folder are modules of one package, so that a plugin may import the file beside it by
``from . import _helper``. The name of the package is made from the folder's path.
"""

import glob
import hashlib
import importlib
import importlib.util
import os
import re
import stat
import sys
import traceback
import types
from typing import Collection, List, NamedTuple, Optional, Sequence

from detkit.config import Config, display_path, is_plugin_file, place, require
from detkit.errors import ConfigError
from detkit.plugins.copies import PACKAGE
from detkit.plugins.installed import find_installed
from detkit.registry import FAILED_PLUGINS

# Plugins of earlier versions, which their runs list, and whose parts are detkit's own now.
IN_THE_PACKAGE = ("mobilenet_v2.py",)

_FILE = re.compile(r"(.+\.ya?ml):[0-9]+.*")  # the place of a value in a file


class Failure(NamedTuple):
    """A plugin that could not be imported.

    path: the absolute path of a file or folder, or the name of an installed plugin.
    """

    path: str
    line: Optional[int]
    reason: str
    traceback: str

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        where = display_path(self.path) if os.path.isabs(self.path) else self.path
        return f"{where}{line}: {self.reason}"


class PluginReport(NamedTuple):
    """The plugins that were imported and those that failed.

    files: the absolute paths of imported files; that of a package is its ``__init__.py``.
    modules: the names of imported modules, those of installed plugins first.
    failures: the files and installed plugins that could not be imported.
    """

    files: List[str]
    modules: List[str]
    failures: List[Failure]


def import_plugins(config: Config) -> PluginReport:
    """Imports installed plugins, the project's, and those that the config lists, each file once.

    Raises ConfigError, with the traceback, if a listed plugin is missing or fails.
    """
    entries: Sequence[str] = require(config, "plugins", List[str]) if "plugins" in config else ()
    listed = [
        _find(entry, config, index) if is_plugin_file(entry) else None
        for index, entry in enumerate(entries)
    ]
    report = import_installed()
    own = import_folder(os.path.join(config.project_root, "plugins"), set(filter(None, listed)))
    report.files.extend(own.files)
    report.failures.extend(own.failures)
    for folder in filter(_files_of, config.foreign_plugins):
        reason = "it is not imported, because it does not belong to the config's project"
        _record(Failure(folder, None, f"{reason}; {_how_to_allow(folder)}", ""))
    for index, (entry, path) in enumerate(zip(entries, listed)):
        where = place(config["plugins"], index)
        if not is_plugin_file(entry):
            _import_module(entry, where)
            report.modules.append(entry)
            continue
        if path is None:  # its part is in the package
            continue
        failure = _import_file(path)
        if failure:
            raise ConfigError(
                f"{where}: the plugin cannot be imported: {failure}\n{failure.traceback}"
            )
        if path not in report.files:
            report.files.append(path)
    return report


def import_installed() -> PluginReport:
    """Imports the plugins of installed packages, in the order of their names."""
    report = PluginReport([], [], [])
    plugins, faults = find_installed()
    for where, fault in faults.items():
        report.failures.append(Failure(where, None, _reason(fault), ""))
    known = {failure.path: failure for failure in FAILED_PLUGINS}
    for plugin in plugins:
        failure = known.get(str(plugin))
        try:
            if failure is None:
                importlib.import_module(plugin.module)
                report.modules.append(plugin.module)
        except (Exception, SystemExit) as error:
            failure = Failure(str(plugin), None, _reason(error), traceback.format_exc())
        report.failures.extend([failure] if failure else [])
    for failure in report.failures:
        _record(failure)
    return report


def import_folder(folder: str, listed: Collection[str] = ()) -> PluginReport:
    """Imports every ``*.py`` of a folder whose name does not begin with '_', in order of names.

    listed: the paths that a config lists, and which may therefore be anybody's.

    If another user could have written the folder or one of the other files in it, nothing is
    imported, and the folder is the one failure of the report.
    """
    report = PluginReport([], [], [])
    paths = _files_of(folder)
    others = [path for path in paths if path not in listed]
    stranger = _writable_by_others([folder, *others] if others else [])
    if stranger:
        report.failures.append(Failure(folder, None, f"{stranger}; {_how_to_allow(folder)}", ""))
        _record(report.failures[0])
        return report
    for path in paths:
        failure = _import_file(path)
        if failure:
            report.failures.append(failure)
        else:
            report.files.append(path)
    return report


def _files_of(folder: str) -> List[str]:
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), "[!_]*.py")))
    return [os.path.realpath(path) for path in paths]


def _writable_by_others(paths: Sequence[str]) -> Optional[str]:
    """Returns the reason why the paths may be another user's programs, or None."""
    for path in filter(os.path.exists, paths):  # a dangling link fails when it is imported
        status = os.stat(path)
        if status.st_uid not in (os.geteuid(), 0):
            return (
                f"expected {display_path(path)} to belong to the current user (uid "
                f"{os.geteuid()}) or root, found the owner {status.st_uid}; nothing is imported"
            )
        if status.st_mode & stat.S_IWOTH:
            return (
                f"expected {display_path(path)} to be writable by its owner alone, found the mode "
                f"{stat.filemode(status.st_mode)}; nothing is imported"
            )
    return None


def _how_to_allow(folder: str) -> str:
    return f"if you trust it, list its files in the config: plugins: {_files_of(folder)}"


def _record(failure: Failure) -> None:
    if failure.path not in [known.path for known in FAILED_PLUGINS]:
        FAILED_PLUGINS.append(failure)


def _find(entry: str, config: Config, index: int) -> Optional[str]:
    """Returns the real path of a listed file or package.

    It is relative to the folder of the file that lists it, to the config's, or to the project's. It
    is None for a file that is gone because its part is in the package.
    """
    where = config["plugins"].where(index)
    file = _FILE.fullmatch(where)
    lists = os.path.dirname(os.path.abspath(file[1])) if file else os.path.dirname(config.file)
    folders = dict.fromkeys((lists, os.path.dirname(config.file), config.project_root))
    paths = [os.path.join(folder, os.path.expanduser(entry)) for folder in folders]
    for path in paths:
        for candidate in (path, os.path.join(path, PACKAGE)):
            if os.path.isfile(candidate):
                return os.path.realpath(candidate)
    if os.path.basename(entry) in IN_THE_PACKAGE:
        return None
    tried = " or ".join(map(display_path, paths))
    raise ConfigError(
        f"{place(config['plugins'], index)}: expected a plugin file, or the folder of a package "
        f"with {PACKAGE}, found none at {tried}"
    )


def _import_module(name: str, where: str) -> None:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{where}: the plugin module {name!r} cannot be imported: {_reason(error)}\n"
            f"{traceback.format_exc()}"
        ) from error


def _import_file(path: str) -> Optional[Failure]:
    """Imports one real path; returns the Failure of this or of an earlier attempt, or None."""
    name = _module_name(path)
    if name in sys.modules:
        return None
    for failure in FAILED_PLUGINS:
        if failure.path == path:
            return failure
    try:
        _execute(name, path)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        failure = _failure(path, error)
        FAILED_PLUGINS.append(failure)
        return failure
    return None


def _module_name(path: str) -> str:
    """Returns the name of a file's module, and makes the package of its folder."""
    folder, stem = os.path.split(os.path.splitext(path)[0])
    if os.path.basename(path) == PACKAGE:
        folder, stem = os.path.split(folder)
    parent = f"_detkit_plugins_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    if parent not in sys.modules:
        package = types.ModuleType(parent)
        package.__path__ = [folder]
        sys.modules[parent] = package
    return f"{parent}.{stem}"


def _execute(name: str, path: str) -> None:
    """Runs a file as the module ``name``. Raises whatever the file raises."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: expected a Python file")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _failure(path: str, error: BaseException) -> Failure:
    """Returns the Failure for an exception; its traceback begins in the plugin itself."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path and error.lineno is not None:
        lines.append(error.lineno)
    text = "".join(traceback.format_exception(type(error), error, trace))
    reason = _reason(error) + _advice(path, error)
    return Failure(path, lines[-1] if lines else None, reason, text)


def _advice(path: str, error: BaseException) -> str:
    """Returns how to import the file beside a plugin that was not found; "" of another error."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if name is None or not os.path.isfile(os.path.join(os.path.dirname(path), f"{name}.py")):
        return ""
    return f"; {name}.py is beside the plugin: write `from . import {name}`"


def _reason(error: BaseException) -> str:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}".splitlines()[0]
