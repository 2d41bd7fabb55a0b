"""MXNet and OpenCV, or the reason why they cannot be imported and what to install.

MXNet is an extra of the package, because its builds for CPUs and for GPUs are two packages of one
module. It is imported late, so that this message is all that a user without it sees.
``detkit.compatibility`` lets MXNet run on versions of Python and numpy that are younger than it.
OpenCV is one module, too, in several packages, of which the headless ones need no desktop.
"""

import platform
import sys
from typing import Any

from detkit.errors import DetkitError
from detkit.wording import install

PYTHONS = ((3, 8), (3, 12))  # the first and the last that MXNet 1.9.1 runs on


def import_mxnet() -> Any:
    """Returns the module ``mxnet``.

    Raises DetkitError, with the remedy, if it cannot be imported.
    """
    try:
        import mxnet
    except Exception as error:  # an AttributeError with numpy 2, an OSError without a library
        raise DetkitError(f"mxnet cannot be imported: {error}\n  {_remedy(error)}") from error
    return mxnet


def _remedy(error: Exception) -> str:
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        first, last = (".".join(map(str, version)) for version in PYTHONS)
        return f"MXNet 1.9.1 needs Python {first} to {last}; make an environment with one of these"
    if platform.machine() == "aarch64" and "libarmpl" in str(error):
        return "MXNet's wheel for aarch64 needs the Arm Performance Libraries; install them"
    if any(name in str(error) for name in ("libgomp", "libquadmath")):  # slim images lack them
        return "MXNet needs two libraries of the system: apt-get install libgomp1 libquadmath0"
    if "numpy" in str(error).lower():
        return "MXNet 1.9.1 needs numpy 1: pip install 'numpy<1.27'"
    return f"install it: {install('cpu')}, or {install('cu112')} for a GPU with CUDA 11.2"


def import_opencv() -> Any:
    """Returns the module ``cv2`` of opencv-python or of one of its variants.

    Raises DetkitError, with the remedy, if it cannot be imported.
    """
    try:
        import cv2
    except ImportError as error:
        remedy = "install it: pip install 'opencv-python<4.12'"
        if ".so" in str(error):  # libGL.so.1, libX11.so.6: slim images and servers lack them
            remedy = (
                "opencv-python needs libraries of a desktop; install the same module without "
                "windows: pip uninstall -y opencv-python; pip install 'opencv-python-headless<4.12'"
            )
        raise DetkitError(f"cv2 cannot be imported: {error}\n  {remedy}") from error
    return cv2
