"""MXNet, or why it cannot be imported: the remedy for each reason."""

import sys

import pytest

from detkit.errors import DetkitError
from detkit.requirements import import_mxnet
from support import tiny


class Broken:
    """An importer that has no MXNet."""

    def __init__(self, error):
        self.error = error

    def find_spec(self, name, path=None, target=None):
        if name == "mxnet":
            raise self.error


@pytest.mark.parametrize(
    ("error", "version", "remedy"),
    [
        (ModuleNotFoundError("No module named 'mxnet'"), (3, 11), "'detkit-gluon[cu112]'"),
        (OSError("libgfortran.so.3: not found"), (3, 8), "pip install 'detkit-gluon[cpu]'"),
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


def test_mxnet_itself():
    assert import_mxnet() is sys.modules["mxnet"]
