"""A config is opened: its sections are checked, its plugins imported."""

import pytest

from detkit.build import open_config
from detkit.errors import ConfigError
from support import tiny


def test_a_config_is_opened_with_its_overrides_and_plugins(tmp_path):
    config = open_config(tiny.project(tmp_path), ["train.epochs=5"])
    assert config["train"]["epochs"] == 5
    assert config.plugin_report.files == [str(tmp_path / "plugins/tiny.py")]


def test_a_section_that_nothing_reads_is_refused_before_plugins_run(tmp_path):
    path = tiny.project(tmp_path)
    (tmp_path / "plugins/bad.py").write_text("raise SystemExit(3)")
    with pytest.raises(ConfigError, match="'modl'.*did you mean 'model'"):
        open_config(path, ["modl.type=RPN", "plugins=[plugins/bad.py]"])
