"""Packaging of detkit; tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import Distribution, find_packages, setup

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "detkit/__init__.py").read_text()).group(1)

# Later ones of onnx need numpy 1.24. Of ml_dtypes, ONNX Runtime's quantizer says nothing itself.
ONNX = ["onnx>=1.14,<1.18", "onnxruntime>=1.16", "ml_dtypes"]

# tools/build_wheel.py puts compiled operators here, in a copy of the sources.
PREBUILT = (HERE / "detkit/ops/prebuilt/libdetkit_ops.so").exists()


class Contents(Distribution):
    """The package, which is for one platform alone if it has compiled operators."""

    def has_ext_modules(self):
        return PREBUILT


class Wheel(bdist_wheel):
    """A wheel whose compiled operators fit every version of Python."""

    def get_tag(self):
        return ("py3", "none", "manylinux2014_x86_64") if PREBUILT else super().get_tag()


# MXNet 1.9.1 is one module, "mxnet", in two packages: exactly one of the extras installs it.
setup(
    cmdclass={"bdist_wheel": Wheel},
    distclass=Contents,
    name="detkit",
    version=VERSION,
    description="Two-stage object detection on MXNet/Gluon, put together out of named parts",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["detkit", "detkit.*"]),
    # Without a prebuilt library, the operators are compiled on the user's machine.
    package_data={
        "detkit": [
            "py.typed",
            "converters/models/*",
            "ops/native/*",
            "ops/native/*/*",
            "ops/prebuilt/*",
            "export/graph/operators.inc",
        ]
    },
    python_requires=">=3.8, <3.12",
    install_requires=[
        "defusedxml",
        "numpy<1.24",  # MXNet 1.9.1 uses aliases that numpy 1.24 removed
        "opencv-python<4.12",  # later ones need numpy 2
        "pycocotools",
        "pyyaml",
        "tqdm",
    ],
    extras_require={
        "cpu": ["mxnet==1.9.1"],
        "cu112": ["mxnet-cu112==1.9.1"],
        "onnx": ONNX,
        "plot": ["matplotlib"],  # of tools/benchmark.py
        # The same module as opencv-python, with Selective Search for tools/propose.py: uninstall
        # opencv-python first.
        "proposals": ["opencv-contrib-python<4.12"],
        "rcnn": ["scikit-learn"],  # the SVMs of tools/fit_svms.py
        "test": [
            "clang-format==18.1.8",  # every version formats a little differently
            *("gluoncv", "hypothesis", "pytest", "pytest-xdist", "scikit-learn", *ONNX),
            "supervision<0.30",  # later ones decode videos by a package of 30 MB
            *("import-linter", "mypy", "ruff", "types-PyYAML", "types-defusedxml", "types-tqdm"),
        ],
        "wheel": ["pip", "ziglang==0.17.1"],  # of tools/build_wheel.py
        "zoo": ["gluoncv"],  # GluonCV's classifiers as backbones
    },
)
