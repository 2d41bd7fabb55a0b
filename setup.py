"""What is packed, and what it needs; the metadata and the settings are in pyproject.toml."""

import re
import sys
from pathlib import Path

from setuptools import Distribution, find_packages, setup

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

HERE = Path(__file__).parent


def constant(name, file):
    """Returns a string that a module of the package defines, without importing the package."""
    return re.search(rf'^{name} = "(.+?)"', (HERE / "detkit" / file).read_text(), re.M).group(1)


VERSION = constant("__version__", "__init__.py")
DISTRIBUTION = constant("DISTRIBUTION", "wording.py")

# Later ones of onnx need Python 3.9 and numpy 1.24. Of ml_dtypes, ONNX Runtime's quantizer says
# nothing itself.
ONNX = ["onnx>=1.14,<1.18", "onnxruntime>=1.16", "ml_dtypes"]

# MXNet 1.9.1 is made for numpy 1 (detkit/compatibility.py), and OpenCV 4.12 needs numpy 2. Only the
# extras that install MXNet have these bounds: an .onnx is run with any numpy.
WITH_MXNET = ["numpy<1.27", "opencv-python<4.12"]

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


# These folders stay where people look for them in the checkout. In a wheel they lie beside
# detkit/shipped/__init__.py, which finds them in both cases.
SHIPPED = {"detkit.shipped.configs": "configs", "detkit.shipped.deploy": "tools/deploy"}
FOLDERS = {"": ".", **SHIPPED}
if "editable_wheel" in sys.argv:
    # pip install -e: the folders are found in the checkout. Without them setuptools puts the
    # checkout on the path of modules. Otherwise it installs an importer, and a folder detkit/ in
    # the working directory, such as the checkout itself seen from above, would come before it.
    SHIPPED, FOLDERS = {}, {"": "."}

# All else is in pyproject.toml. MXNet 1.9.1 is one module, "mxnet", in two packages: at most one of
# the extras installs it.
setup(
    cmdclass={"bdist_wheel": Wheel},
    distclass=Contents,
    name=DISTRIBUTION,
    version=VERSION,
    license="Apache-2.0",
    packages=[*find_packages(include=["detkit", "detkit.*"]), *SHIPPED],
    package_dir=FOLDERS,
    # Without a prebuilt library, the operators are compiled on the user's machine.
    package_data={
        "detkit": [
            "py.typed",
            "converters/models/*",
            "ops/native/*",
            "ops/native/*/*",
            "ops/prebuilt/*",
            "export/graph/operators.inc",
            "report/*.html",
            "report/*.css",
            "report/*.js",
        ],
        "detkit.shipped.configs": ["*.yaml", "*/*.yaml", "README.md"],
        "detkit.shipped.deploy": ["CMakeLists.txt", "*.cmake", "*.cpp", "*.hpp", "README.md"],
    },
    install_requires=[
        "defusedxml",
        "numpy",
        "opencv-python",
        "pycocotools",
        "faster-coco-eval>=1.7",
        "pyyaml",
        "shtab",  # writes detkit completion
        "tqdm",
    ],
    extras_require={
        "clearml": ["clearml"],
        "cpu": ["mxnet==1.9.1", *WITH_MXNET],
        "cu112": ["mxnet-cu112==1.9.1", *WITH_MXNET],
        "docs": [
            *("mkdocs>=1.6,<2", "mkdocs-material>=9.8,<10", "mkdocstrings[python]>=1,<2"),
            "ruff",  # breaks long signatures into lines
        ],
        "mlflow": ["mlflow-skinny"],
        # INT8 for OpenVINO; it needs Python 3.10 and numpy 1.24.
        "nncf": [*ONNX, "nncf>=3.0"],
        "onnx": ONNX,
        # Each runs an .onnx without MXNet. onnxruntime-gpu, for CUDA, replaces onnxruntime.
        "onnxruntime": ["onnxruntime>=1.16"],
        "openvino": ["openvino>=2024.1"],  # 2024.0 refuses the graphs
        "plot": ["matplotlib"],  # of tools/benchmark.py and tools/few_images.py
        # The same module as opencv-python, with Selective Search for detkit propose: uninstall
        # opencv-python first.
        "proposals": ["opencv-contrib-python<4.12"],
        "rcnn": ["scikit-learn"],  # the SVMs of detkit fit-svms
        "tensorboard": ["pillow", "tensorboardX"],
        "test": [
            "clang-format==18.1.8",  # every version formats a little differently
            *("gluoncv", "hypothesis", "pytest", "pytest-xdist", "scikit-learn", *ONNX),
            *("setuptools>=61", "wheel"),  # the wheel is built without a download
            "supervision<0.30",  # later ones decode videos by a package of 30 MB
            *("pillow", "tensorboardX"),
            *("import-linter", "mypy", "ruff", "types-PyYAML", "types-defusedxml", "types-tqdm"),
        ],
        "wandb": ["wandb"],
        "wheel": ["pip", "ziglang==0.17.1"],  # of tools/build_wheel.py
        "zoo": ["gluoncv"],  # GluonCV's classifiers as backbones
    },
)
