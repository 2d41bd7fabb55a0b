"""The parts that live outside the package: how they are imported, and their copies in a run."""

from detkit.plugins.copies import Copies, copies_of, write_copies
from detkit.plugins.imports import (
    Failure,
    PluginReport,
    import_folder,
    import_installed,
    import_plugins,
)
from detkit.plugins.installed import find_installed
from detkit.registry import FAILED_PLUGINS

__all__ = [
    "FAILED_PLUGINS",
    "Copies",
    "Failure",
    "PluginReport",
    "copies_of",
    "find_installed",
    "import_folder",
    "import_installed",
    "import_plugins",
    "write_copies",
]
