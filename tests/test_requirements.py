"""MXNet and OpenCV, or why they cannot be imported: the remedy for each reason."""

import sys

import pytest

from detkit.errors import DetkitError
from detkit.requirements import import_mxnet, import_opencv
from support import tiny


class Broken:
    """An importer that lacks a module."""

    def __init__(self, error, module="mxnet"):
        self.error = error
        self.module = module

    def find_spec(self, name, path=None, target=None):
        if name == self.module:
            raise self.error


@pytest.mark.parametrize(
    ("error", "version", "remedy"),
    [
        (ModuleNotFoundError("No module named 'mxnet'"), (3, 11), "'detkit-gluon[cu112]'"),
        (OSError("libgfortran.so.3: not found"), (3, 8), "pip install 'detkit-gluon[cpu]'"),
        (OSError("libquadmath.so.0: not found"), (3, 12), "apt-get install libgomp1 libquadmath0"),
        (
            AttributeError("`np.PZERO` was removed in NumPy 2.0"),
            (3, 12),
            "'numpy<1.27'",
        ),
        (ImportError("numpy.core.multiarray failed to import"), (3, 9), "'numpy<1.27'"),
        (ModuleNotFoundError("No module named 'imp'"), (3, 13), "Python 3.8 to 3.12"),
    ],
)
def test_the_remedy_fits_the_reason(monkeypatch, error, version, remedy):
    monkeypatch.delitem(sys.modules, "mxnet")
    monkeypatch.setattr(sys, "meta_path", [Broken(error), *sys.meta_path])
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(DetkitError) as caught:
        import_mxnet()
    tiny.assert_says(str(caught.value), str(error), remedy)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("libGL.so.1: cannot open shared object file", "'opencv-python-headless<4.12'"),
        ("No module named 'cv2'", "pip install 'opencv-python<4.12'"),
    ],
)
def test_opencv_without_a_desktop(monkeypatch, capsys, error, remedy):
    monkeypatch.delitem(sys.modules, "cv2")
    broken = Broken(ImportError(error), "cv2")
    monkeypatch.setattr(sys, "meta_path", [broken, *sys.meta_path])
    with pytest.raises(DetkitError) as caught:
        import_opencv()
    tiny.assert_says(str(caught.value), error, remedy)
    assert tiny.tool("doctor") == 0
    tiny.assert_says(capsys.readouterr().out, error, remedy, "operators")


def test_the_modules_themselves():
    assert import_mxnet() is sys.modules["mxnet"]
    assert import_opencv() is sys.modules["cv2"]
