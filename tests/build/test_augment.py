"""The key ``data.augment``: the list that it becomes, and the lists that it refuses to join."""

import pytest

from detkit.build import build_transforms, open_config
from detkit.build.stages import read_stages
from detkit.config import dump_config, place, to_plain
from detkit.data.presets import FLIP, PRESETS, following
from detkit.errors import ConfigError
from support import tiny

RESIZE = {"type": "Resize", "short": 64, "long": 96}
LIST = "data.train_transforms=[{type: Resize, short: 64, long: 96}]"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return tiny.project(tmp_path_factory.mktemp("project"))


def transforms(config, *overrides):
    """The list of the opened config, as plain values."""
    data = open_config(config, overrides)["data"]
    assert "augment" not in data
    return to_plain(data["train_transforms"])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_follows_the_list_and_builds(config, preset):
    chosen = f"data.augment={preset}"
    assert transforms(config, LIST, chosen) == [RESIZE, FLIP, *following(preset)]
    built = build_transforms(open_config(config, (LIST, chosen)), "train")
    assert len(built) == 2 + len(following(preset))


def test_the_lists_own_flips_and_order_stay(config):
    own = [{"type": "VerticalFlip"}, {"type": "HorizontalFlip", "p": 0.0}, RESIZE]
    text = "[{type: VerticalFlip}, {type: HorizontalFlip, p: 0.0}, " + LIST.partition("=[")[2]
    found = transforms(config, f"data.train_transforms={text}", "data.augment=light")
    assert found == [*own, *following("light")]


def test_null_leaves_the_list_as_it_is(config):
    assert transforms(config, "data.augment=null") == transforms(config) == [FLIP]
    assert transforms(config, "data.augment=null", "data.train_transforms=[{type: Blur}]")


def test_each_value_knows_its_place(config):
    opened = open_config(config, (LIST, "data.augment=light"))
    own, _, added = opened["data"]["train_transforms"][:3]
    assert place(own, "short") == f"--set {LIST}: data.train_transforms.0.short"
    assert place(added, "type") == "--set data.augment=light: data.train_transforms.2.type"


def test_the_dumped_config_means_the_same(config, tmp_path):
    first = open_config(config, ("data.augment=strong",))
    path = tmp_path / "again.yaml"
    path.write_text(dump_config(first, [str(config.parents[1] / "plugins/tiny.py")]))
    assert to_plain(open_config(path)["data"]) == to_plain(first["data"])


def test_the_command_config_shows_the_transforms(config, capsys):
    assert tiny.tool("print_config", config, "--origin", "--set", "data.augment=light") == 0
    said = capsys.readouterr().out
    tiny.assert_says(
        said, "data.train_transforms.1.type: Photometric", "# --set data.augment=light"
    )


def test_a_stage_may_have_a_preset_of_its_own(config):
    stages = (
        "stages=[{name: a, train: {epochs: 1}}, {name: b, start_from: a, data: {augment: light}}]"
    )
    one, two = read_stages(open_config(config, (stages,)))
    assert to_plain(one.config["data"]["train_transforms"]) == [FLIP]
    assert to_plain(two.config["data"]["train_transforms"]) == [FLIP, *following("light")]


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        (("data.augment=medum",), ("data.augment", *PRESETS, "'medum'", "did you mean 'medium'")),
        (("data.augment=3",), ("data.augment", "expected str", "3 (int)")),
        (
            ("data.augment=light", "data.train_transforms=[{type: Blur}]"),
            ("data.train_transforms.0.type", "Resize", "data.augment=light", "'Blur'", "leave out"),
        ),
        (
            ("data.augment=light", "data.train_transforms=[{type: Resize}, {type: Resize}]"),
            ("data.train_transforms.1.type", "'Resize' again"),
        ),
        (("data.augment=light", "data.train_transforms=[{}]"), ("data.train_transforms.0", "type")),
    ],
)
def test_a_list_that_a_preset_cannot_join_is_refused(config, overrides, fragments):
    with pytest.raises(ConfigError) as refusal:
        open_config(config, overrides)
    tiny.assert_says(str(refusal.value), *fragments)


def test_a_resumed_training_is_the_same_as_one_without_interruption(config, tmp_path):
    chosen = "data.augment=strong"
    assert tiny.train(config, tmp_path / "whole", chosen) == 0
    assert tiny.train(config, tmp_path / "parts", chosen, "train.epochs=1") == 0
    assert tiny.train(config, tmp_path / "parts", chosen, resume="auto") == 0
    last = [tmp_path / name / "checkpoints/step-00000006" for name in ("whole", "parts")]
    tiny.assert_same_checkpoint(*last)
    written = to_plain(open_config(tmp_path / "whole/config.yaml")["data"])
    assert written["train_transforms"] == [FLIP, *following("strong")]
