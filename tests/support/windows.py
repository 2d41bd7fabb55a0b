"""Programs for Windows on an x86-64: Debian's MinGW-w64, and Wine, which runs its programs."""

import shutil

import pytest

from detkit import processor

COMPILER = "x86_64-w64-mingw32-g++-posix"
# Debian's package wine64 has no program on PATH.
NAMES = "wine64", "wine", "/usr/lib/wine/wine64"
WINE = next(filter(shutil.which, NAMES), None)
# ONNX Runtime asks two libraries for the machine's GPUs. Wine 8 lacks one, and without a screen the
# other fails, which ONNX Runtime prints.
NO_SCREEN = "Failed to create DXGI factory"
DXCORE = """\
extern "C" __declspec(dllexport) long DXCoreCreateAdapterFactory(const void*, void**) { return -1; }
"""

NEEDED = pytest.mark.skipif(
    not (processor.is_x86() and shutil.which(COMPILER) and WINE),
    reason="needs g++-mingw-w64-x86-64-posix and wine64 on an x86-64",
)


def write_script(path, program, prefix):
    """Writes a script that runs a program for Windows here; prefix: a new folder for Wine.

    Wine would copy 700 MB of its libraries there. It takes them from where they are while it
    prepares a folder, and this one stays in that state.
    """
    (prefix / "drive_c" / "windows" / "system32").mkdir(parents=True)
    (prefix / "dosdevices").mkdir()
    (prefix / "dosdevices" / "c:").symlink_to("../drive_c")
    (prefix / "dosdevices" / "z:").symlink_to("/")
    (prefix / ".update-timestamp").write_text("disable\n")
    variables = (
        f'WINEPREFIX="{prefix}" WINEBOOTSTRAPMODE=1 WINEDEBUG=-all WINEDLLOVERRIDES=mscoree='
    )
    path.write_text(
        f"""#!/bin/sh
{variables} {WINE} "{program}" "$@" 2> "{prefix}/errors"
code=$?
grep -av "{NO_SCREEN}" "{prefix}/errors" >&2
exit $code
"""
    )
    path.chmod(0o755)
