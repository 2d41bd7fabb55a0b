"""The folders that detkit ships, in the checkout; house/test_wheel.py finds them in a wheel."""

import pytest

from detkit import shipped
from detkit.errors import DetkitError
from support import tiny


def test_in_the_checkout_they_are_the_folders_at_the_top():
    assert shipped.folder(shipped.CONFIGS) == tiny.ROOT / "configs"
    assert shipped.folder(shipped.DEPLOY) == tiny.ROOT / "tools/deploy"
    assert shipped.in_checkout()


def test_a_copy_of_the_package_alone_says_what_it_lacks(tmp_path, monkeypatch):
    (tmp_path / "detkit/shipped").mkdir(parents=True)
    text = (tiny.ROOT / "detkit/shipped/__init__.py").read_text()
    module = {"__file__": str(tmp_path / "detkit/shipped/__init__.py"), "__name__": "shipped"}
    exec(compile(text, "shipped", "exec"), module)
    with pytest.raises(DetkitError) as caught:
        module["folder"]("configs")
    tiny.assert_says(str(caught.value), "'configs'", str(tmp_path / "configs"), "wheel")
