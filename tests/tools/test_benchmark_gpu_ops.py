"""tools/benchmark_gpu_ops.py as far as it goes without a GPU; its cases, on the CPU, if there is
torchvision."""

import importlib.util
import shutil
import sys

import pytest

from support import cuda_kernels, gpu_cases, tiny

PTXAS = """ptxas info    : Compiling entry function '_Z4gridPf' for 'sm_86'
ptxas info    : Function properties for _Z4gridPf
    0 bytes stack frame, {spilled} bytes spill stores, 4 bytes spill loads
ptxas info    : Used {registers} registers, used 0 barriers, 424 bytes cmem[0]
"""


@pytest.fixture
def nvcc(tmp_path, monkeypatch):
    """A function that puts a program called nvcc alone on PATH: it prints, writes -o, exits."""
    shell, touch = shutil.which("sh"), shutil.which("touch")

    def write(printed, status=0):
        program = tmp_path / "nvcc"
        program.write_text(
            f"#!{shell}\n"
            f'while [ "$1" != -o ]; do shift; done\n{touch} "$2"\n'
            f"while read line; do echo \"$line\"; done <<'END'\n{printed}\nEND\nexit {status}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return write


def test_without_nvcc(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tiny.refused(capsys, "benchmark_gpu_ops", "--compile-only").startswith(
        "error: nvcc is not on PATH; install"
    )


def test_without_torch(nvcc, monkeypatch, capsys):
    nvcc("")
    monkeypatch.setitem(sys.modules, "torch", None)
    message = tiny.refused(capsys, "benchmark_gpu_ops")
    tiny.assert_says(message, "torchvision", "import of torch halted", "pip install torch")


def test_what_the_compiler_made_of_each_source(nvcc, capsys):
    small, large = (PTXAS.format(spilled=s, registers=r) for s, r in ((0, 24), (8, 64)))
    nvcc(small + large)
    assert tiny.tool("benchmark_gpu_ops", "--compile-only", "--arch", "86") == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["source", "sm", "kernels", "registers", "spilled", "object"]
    names = sorted(path.name for path in cuda_kernels.SOURCES.glob("*.cu"))
    assert [line.split() for line in lines] == [
        [name, "86", "2", "64", "8", "0", "KB"] for name in names
    ]


def test_the_compilers_message_is_shown(nvcc, capsys):
    nvcc("nms.cu(3): error: expected a ;", status=2)
    message = tiny.refused(capsys, "benchmark_gpu_ops", "--compile-only")
    assert message.startswith("error: cannot compile:\nnms.cu(3): error: expected a ;")
    assert "-gencode=arch=compute_90,code=sm_90" in message


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
@pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="needs torchvision")
def test_the_kernels_agree_with_torchvision(tmp_path):
    import torch
    import torchvision

    memory = cuda_kernels.TorchMemory(torch, "cpu")
    kernels = cuda_kernels.CudaKernels(cuda_kernels.build_for_cpu(tmp_path), memory)
    compared = []
    for case in gpu_cases.Cases(torch, torchvision, kernels, "cpu", share=0.02):
        run, outputs = case.call
        if case.peer:
            run()
            assert case.differs(outputs, case.peer()) == "", case.name
            compared.append(case.name)
    assert len(compared) == 14
