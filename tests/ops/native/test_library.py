"""The compiled library beside Python: loaded by a C++ program, safe on an older processor."""

import shutil
import subprocess
from pathlib import Path

import mxnet as mx
import pytest

from detkit.ops import compile

PROGRAM = """
#include <cstdint>
#include <cstdio>
#include "mxnet/c_api.h"

int main(int, char** arguments) {
  if (MXLoadLib(arguments[1], 0) != 0) return printf("%s", MXGetLastError()), 1;
  uint32_t count;
  const char** names;
  MXListAllOpNames(&count, &names);
  for (uint32_t i = 0; i < count; i++) puts(names[i]);
}
"""


def test_a_cpp_program_can_load_it(built_library, tmp_path):
    """Without -Bsymbolic it would crash while the library is loaded."""
    package = Path(mx.__file__).parent
    source, program = tmp_path / "program.cc", tmp_path / "program"
    source.write_text(PROGRAM)
    flags = ["-std=c++17", f"-I{package / 'include'}", f"-L{package}", "-lmxnet"]
    search = [f"-Wl,-rpath,{package}", f"-Wl,-rpath-link,{package}"]
    subprocess.run([compile.find_compiler(), source, *flags, *search, "-o", program], check=True)
    done = subprocess.run([program, built_library], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"detkit_nms", "detkit_roi_align"} <= set(done.stdout.split())


@pytest.mark.skipif(not shutil.which("nm"), reason="nm is not installed")
@pytest.mark.usefixtures("built_library")
@pytest.mark.parametrize("kernel", [*compile.BOX_KERNELS, *compile.FUSED_KERNELS])
def test_no_vectorised_function_can_take_the_place_of_a_portable_one(kernel, tmp_path):
    """A linker keeps one of several weak symbols of a name: an older machine would crash."""
    flags = [*compile.FLAGS, "-O0"]
    made = tmp_path / "kernel.o"
    command = [compile.find_compiler(), *flags, "-DDETKIT_ISA=another", "-c"]
    subprocess.run([*command, compile.SOURCES / "cpu" / f"{kernel}.cc", "-o", made], check=True)
    symbols = subprocess.run(["nm", "-C", made], capture_output=True, text=True).stdout
    weak = [line[17:] for line in symbols.splitlines() if line[17:18] in "WVu"]
    weak = [line for line in weak if "another" not in line and "DW.ref" not in line]
    assert weak == []
