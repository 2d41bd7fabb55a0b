"""The plugins written out in the guides work as they stand there."""

import re
from pathlib import Path

import pytest

from detkit.registry import BACKBONES
from support import tiny

GUIDES = ("README.md", "plugins/README.md")


@pytest.mark.parametrize("guide", GUIDES)
def test_the_plugin_of_a_guide_trains_and_is_loaded_again(guide, tmp_path, monkeypatch):
    text = (tiny.ROOT / guide).read_text(encoding="utf-8")
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "TinyNet" in c)
    config = tiny.project(tmp_path)
    Path(tmp_path, "plugins/my_backbone.py").write_text(code, encoding="utf-8")
    # Both guides define a part of this name, which in one process could be registered only once.
    monkeypatch.setattr(BACKBONES, "_entries", dict(BACKBONES._entries))
    overrides = ("train.epochs=1", "model.backbone={type: TinyNet}")
    assert tiny.train(config, tmp_path / "work", *overrides) == 0
    best = tmp_path / "work/checkpoints/best"
    assert tiny.tool("test", tmp_path / "work/config.yaml", best) == 0
