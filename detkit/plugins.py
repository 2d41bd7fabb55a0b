"""Imports the parts that live outside the package.

Every ``plugins/*.py`` of the project is imported, then the files and modules that the config lists
under ``plugins:``. A found file that fails is remembered, and told when a name cannot be found; a
listed one that fails is an error at once.
"""

import glob
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from typing import List, NamedTuple, Optional

from detkit.config import is_plugin_file, place, require
from detkit.config.yaml import display_path
from detkit.errors import ConfigError
from detkit.registry import FAILED_PLUGINS


class Failure(NamedTuple):
    """A plugin that could not be imported."""

    path: str
    line: Optional[int]
    reason: str
    traceback: str

    def __str__(self):
        line = "" if self.line is None else f":{self.line}"
        return f"{display_path(self.path)}{line}: {self.reason}"


class PluginReport(NamedTuple):
    """What ``import_plugins`` did: absolute paths, names of modules, and failures."""

    files: List[str]
    modules: List[str]
    failures: List[Failure]


def import_plugins(config):
    """Imports the project's plugins and those the config lists; each file once in a process.

    Raises ConfigError, with the traceback, when a listed plugin is missing or fails.
    """
    listed = require(config, "plugins", List[str]) if "plugins" in config else ()
    report = import_folder(os.path.join(config.project_root, "plugins"))
    for index, entry in enumerate(listed):
        where = place(config["plugins"], index)
        if not is_plugin_file(entry):
            _import_module(entry, where)
            report.modules.append(entry)
            continue
        path = _find(entry, config, where)
        failure = _import_file(path)
        if failure:
            raise ConfigError(f"{where}: the plugin failed: {failure}\n{failure.traceback}")
        if path not in report.files:
            report.files.append(path)
    return report


def import_folder(folder):
    """Imports every ``*.py`` of a folder, in order of names, but those that begin with '_'."""
    report = PluginReport([], [], [])
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "[!_]*.py"))):
        path = os.path.realpath(path)
        failure = _import_file(path)
        if failure:
            report.failures.append(failure)
        else:
            report.files.append(path)
    return report


def _find(entry, config, where):
    """The real path of a listed file, relative to the config's folder or the project's."""
    folders = dict.fromkeys((os.path.dirname(config.file), config.project_root))
    paths = [os.path.join(folder, os.path.expanduser(entry)) for folder in folders]
    for path in paths:
        if os.path.isfile(path):
            return os.path.realpath(path)
    tried = " or ".join(map(display_path, paths))
    raise ConfigError(f"{where}: no such plugin file: {tried}")


def _import_module(name, where):
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{where}: the plugin module {name!r} failed: {_reason(error)}\n"
            f"{traceback.format_exc()}"
        ) from error


def _import_file(path):
    """Imports one real path; returns the Failure of this or an earlier attempt, or None."""
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    name = f"_detkit_plugin_{digest}"
    if name in sys.modules:
        return None
    for failure in FAILED_PLUGINS:
        if failure.path == path:
            return failure
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        failure = _failure(path, error)
        FAILED_PLUGINS.append(failure)
        return failure
    return None


def _failure(path, error):
    """The Failure for an exception, its traceback beginning in the plugin itself."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines.append(error.lineno)
    text = "".join(traceback.format_exception(type(error), error, trace))
    return Failure(path, lines[-1] if lines else None, _reason(error), text)


def _reason(error):
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}".splitlines()[0]
