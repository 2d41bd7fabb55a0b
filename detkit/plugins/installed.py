"""The plugins of installed packages, which name their modules in an entry point.

    [project.entry-points."detkit.plugins"]    # in the pyproject.toml of a package
    lab = "my_lab.parts"

A package that is installed is trusted as everything in the Python environment is.
"""

from importlib import metadata
from typing import Dict, Iterator, List, NamedTuple, Tuple

GROUP = "detkit.plugins"


class Installed(NamedTuple):
    """A module that an installed package names as a plugin.

    name, module: the name of the entry point, and the module that it names.
    package: the name and the version of the package.
    """

    name: str
    module: str
    package: str

    def __str__(self) -> str:
        return f"{self.module} (entry point {self.name!r} of {self.package})"


def find_installed() -> Tuple[List[Installed], Dict[str, Exception]]:
    """Returns the plugins of installed packages, in the order of their names and modules.

    The second value is {place: error} of the packages whose entry points cannot be read. Nothing is
    imported. If Python's path has a package twice, the first one counts, as it does for imports.
    """
    found: Dict[str, List[Installed]] = {}
    faults: Dict[str, Exception] = {}
    for package in metadata.distributions():
        try:
            # Most packages have no plugins, and their other entry points need not be understood.
            if GROUP in (package.read_text("entry_points.txt") or ""):
                found.setdefault(package.metadata["Name"], list(_plugins_of(package)))
        except Exception as error:  # whatever a damaged file leads to
            faults[f"entry points of {getattr(package, '_path', 'a package')}"] = error
    return sorted(plugin for plugins in found.values() for plugin in plugins), faults


def _plugins_of(package: metadata.Distribution) -> Iterator[Installed]:
    title = f"{package.metadata['Name']} {package.version}"
    for point in package.entry_points:
        if point.group == GROUP:
            yield Installed(point.name, point.value.partition(":")[0].strip(), title)
