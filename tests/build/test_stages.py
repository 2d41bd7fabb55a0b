"""The language of ``stages``: what each stage's config is, what is joined, and what is refused."""

import re

import pytest

from detkit.build import open_config
from detkit.build.stage import Made
from detkit.build.staged import StagedTraining
from detkit.build.stages import read_stages
from detkit.build.training import Training
from detkit.config import dump_config, load_config, place, to_plain
from detkit.errors import ConfigError
from support import tiny

TWO = (
    "stages=[{name: warm, train: {epochs: 1}, freeze: [backbone]}, "
    "{name: whole, start_from: warm, train: {lr: 0.002}}]"
)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return tiny.project(tmp_path_factory.mktemp("project"))


def opened(config, *overrides):
    return open_config(config, overrides)


def stages(config, *overrides):
    return {stage.name: stage for stage in read_stages(opened(config, *overrides))}


def test_a_stage_has_the_parts_of_its_detector_and_the_changes(config):
    found = stages(config, "regime=alternating", "model.neck={type: FPN, channels: 8, extra: none}")
    whole = opened(config)
    rpn, fast = found["3-rpn"].config, found["4-fast-rcnn"].config
    assert set(rpn["model"]) == {"type", "backbone", "neck", "anchors", "rpn_head", "proposals"}
    assert set(fast["model"]) == {"type", "backbone", "neck", "roi_extractor", "roi_head"}
    assert set(rpn["train_step"]) == {"rpn_targets", "rpn_loss"}
    assert set(fast["train_step"]) == {"roi_targets", "roi_loss"}
    assert rpn["model"]["proposals"] == whole["train_step"]["proposals"]
    assert rpn["evaluate"] == {"type": "ProposalEvaluator"}
    assert fast["evaluate"] == whole["evaluate"]
    assert fast["model"]["roi_head"] == whole["model"]["roi_head"]
    assert rpn["train"]["freeze"] == ["backbone", "neck"]
    assert found["4-fast-rcnn"].sources == {
        "backbone": "3-rpn",
        "neck": "3-rpn",
        "roi_head": "2-fast-rcnn",
    }
    assert not {"stages", "regime"} & (set(rpn) | set(fast))
    assert "model" in whole  # the whole config is as it was


def test_each_stage_of_the_regime_can_be_changed_by_its_name(config):
    changes = ("stages.1-rpn.train.epochs=5", "stages.4-fast-rcnn.train.lr=0.5")
    found = stages(config, "regime=alternating", *changes)
    assert [stage.config["train"]["epochs"] for stage in found.values()] == [5, 2, 2, 2]
    assert found["4-fast-rcnn"].config["train"]["lr"] == 0.5
    assert "--set stages.1-rpn.train.epochs=5" in place(found["1-rpn"].config["train"], "epochs")


def test_the_files_of_earlier_stages_take_the_place_of_their_names(config):
    found = stages(config, "regime=alternating", "train_step.proposals.post_nms=12")
    made = {
        name: Made(f"work/{name}", {"train": f"{name}.npz", "val": f"{name}-val.npz"})
        for name in found
    }
    placed = found["4-fast-rcnn"].placed(made)
    assert placed["train"]["start_from"] == {
        "backbone": "work/3-rpn",
        "roi_head": "work/2-fast-rcnn",
    }
    assert placed["data"]["train_proposals"] == {"path": "3-rpn.npz", "limit": 12}
    assert placed["data"]["val_proposals"] == {"path": "3-rpn-val.npz", "limit": 16}
    assert "train_proposals" not in found["4-fast-rcnn"].config["data"]


def test_weights_that_a_stage_takes_need_no_pretrained_file(config):
    pretrained = ("model.backbone.pretrained=a.pth", "model.roi_head.pretrained=b.pth")
    found = stages(config, "regime=alternating", *pretrained)
    made = {name: Made(f"work/{name}", {}) for name in found}
    second, fourth = (found[f"{n}-fast-rcnn"].placed(made)["model"] for n in (2, 4))
    assert second["backbone"]["pretrained"] == "a.pth"
    assert second["roi_head"]["pretrained"] == "b.pth"
    assert "pretrained" not in {**fourth["backbone"], **fourth["roi_head"]}
    third = found["3-rpn"].placed({name: Made(None, {}) for name in found})
    assert third["model"]["backbone"]["pretrained"] == "a.pth"  # a dry run takes nothing
    assert "start_from" not in third["train"]


def test_print_config_shows_the_stages_and_its_output_means_the_same(config, tmp_path, capsys):
    arguments = (config, "--set", "regime=alternating", "stages.3-rpn.train.epochs=7")
    assert tiny.tool("print_config", *arguments) == 0
    resolved = config.parent / "resolved.yaml"
    resolved.write_text(capsys.readouterr().out)
    again = opened(resolved)
    assert [stage["name"] for stage in again["stages"]] == [
        "1-rpn",
        "2-fast-rcnn",
        "3-rpn",
        "4-fast-rcnn",
    ]
    expected = stages(*arguments[:1], *arguments[2:])
    for name, stage in stages(resolved).items():
        assert to_plain(stage.config) == to_plain(expected[name].config)
    assert dump_config(again) == dump_config(load_config(resolved))


def test_a_schedule_of_ones_own_is_trained_and_joined(config, tmp_path, capsys):
    assert tiny.train(config, tmp_path, TWO, "train.epochs=1") == 0
    said = capsys.readouterr().out
    tiny.assert_says(said, "1 of 2: warm trains FasterRCNN, backbone frozen", "2 of 2: whole")
    tiny.assert_says(said, "starting from the weights of", "stages/warm/checkpoints/step-00000003")
    whole = tmp_path / "stages/whole/checkpoints/step-00000003/weights.params"
    joined = tiny.best(tmp_path) / "weights.params"
    assert whole.read_bytes() == joined.read_bytes()
    assert (tmp_path / "stages/whole/config.yaml").read_text().count("lr: 0.002") == 1


def test_the_schedule_of_the_guide_is_one(config):
    (block,) = re.findall(
        r"```yaml\n(stages:.*?)```", (tiny.ROOT / "configs/README.md").read_text(), re.S
    )
    path = config.parent / "guide.yaml"
    path.write_text(f"_base_: tiny.yaml\n{block}")
    training = StagedTraining(opened(path), (), describe=lambda training: ())
    tiny.assert_says("\n".join(training.summary()), "2 of 3: heads trains FastRCNN", "whole trains")


def test_parts_may_be_trained_on_the_same_pretrained_backbone(config):
    frozen = "model: {type: RPN}, evaluate: {type: ProposalEvaluator}, freeze: [backbone]"
    schedule = (
        f"stages=[{{name: a, {frozen}}}, "
        "{name: b, model: {type: FastRCNN}, proposals: a, freeze: [backbone]}]"
    )
    with pytest.raises(ConfigError, match="was trained on the backbone"):
        StagedTraining(opened(config, schedule), (), describe=lambda training: ())
    pretrained = "model.backbone.pretrained=file.pth"
    StagedTraining(opened(config, schedule, pretrained), (), describe=lambda training: ())


def test_a_stage_may_have_a_regime_and_take_a_folder(config, tmp_path):
    exact = (
        "stages=[{name: one, start_from: {backbone: somewhere}}, {name: two, regime: exact, "
        "model: {roi_extractor: {type: PrRoIPool, size: 3}}}]"
    )
    one, two = stages(config, exact).values()
    assert one.placed({})["train"]["start_from"] == {"backbone": "somewhere"}
    assert two.config["regime"] == "exact"
    assert two.config["model"]["roi_extractor"] == {"type": "PrRoIPool", "size": 3}


def test_a_dry_run_makes_a_step_of_each_stage_and_writes_nothing(config, tmp_path, capsys):
    before = sorted(config.parent.parent.rglob("*"))
    assert tiny.tool("train", config, "--dry-run", "--set", "regime=alternating") == 0
    said = capsys.readouterr().out
    for name in ("1-rpn", "2-fast-rcnn", "3-rpn", "4-fast-rcnn"):
        assert f"{name}: dry run: one step (loss " in said
    assert sorted(config.parent.parent.rglob("*")) == before


def test_an_alternating_config_is_that_of_its_detector_for_everything_else(config):
    training = Training(opened(config, "regime=alternating"))
    assert type(training.model).__name__ == "FasterRCNN"


RPN = "{name: a, model: {type: RPN}, evaluate: {type: ProposalEvaluator}}"
REFUSED = {
    "a section": ("stages=[{name: a, model: 3}]", "stages.0.model", "a mapping", "3 (int)"),
    "frozen in no way": ("stages=[{name: a, freeze: 3}]", "train.freeze", "3 (int)"),
    "no stage": ("stages=[]", "at least one stage"),
    "a word": ("stages=soon", "stages", "list"),
    "a mapping": ("stages={a: {}}", "expected a list of stages", "joint"),
    "a key": ("stages=[{name: a, epochs: 3}]", "stages.0.epochs", "unknown key", "start_from"),
    "no name": ("stages=[{freeze: [backbone]}]", "'name' is missing"),
    "a path": ("stages=[{name: ../a}]", "stages.0.name", "'../a'", "folder"),
    "a name twice": ("stages=[{name: a}, {name: a}]", "stages.1.name", "new name", "'a'"),
    "a later stage": ("stages=[{name: a, start_from: b}, {name: b}]", "before 'a'", "'b'"),
    "itself": ("stages=[{name: a, start_from: {backbone: a}}]", "before 'a'", "none"),
    "a number": ("stages=[{name: a, start_from: {backbone: 3}}]", "start_from", "found 3"),
    "proposals of nobody": (f"stages=[{RPN}, {{name: b, proposals: c}}]", "earlier stage", "'c'"),
    "proposals of classes": ("stages=[{name: a}, {name: b, proposals: a}]", "RPN", "FasterRCNN"),
    "a part": (f"stages=[{RPN}]", "the part 'roi_head'", "add one"),
    "an unknown part": ("stages=[{name: a, freeze: [backbon]}]", "stages.0.freeze", "backbone"),
    "an unknown detector": ("stages=[{name: a, model: {type: RNP}}]", "model.type", "mean 'RPN'"),
    "a wrong argument": ("stages=[{name: a, model: {roi_head: {hiden: [3]}}}]", "hiden", "hidden"),
    "a schedule": ("stages=[{name: a, train: {schedule: {factor: 2}}}]", "factor: expected", "2"),
    "an evaluator": ("stages=[{name: a, evaluate: {type: VOC}}]", "evaluate.type", "VOCEval"),
    "a filter": ("stages=[{name: a, data: {filter: rois}}]", "data.filter", "'FasterRCNN'"),
    "a hook": ("stages=[{name: a, train: {hooks: [{type: None}]}}]", "hooks.0.type"),
    "an interval": ("stages=[{name: a, train: {evaluate_every: {days: 2}}}]", "'days'", "epochs"),
    "a transform": ("stages=[{name: a, data: {val_transforms: [{type: A}]}}]", "val_transforms.0"),
    "other weights": ("stages=[{name: a, model: {roi_head: {hidden: [3]}}}]", "roi_head", "'a'"),
    "proposals of no use": (
        f"stages=[{RPN}, {{name: b, proposals: a}}]",
        "stages.1.proposals",
        "the FasterRCNN of the stage makes its own",
    ),
    "a Fast R-CNN without proposals": (
        f"stages=[{RPN}, {{name: b, model: {{type: FastRCNN}}, freeze: [backbone]}}]",
        "stages.1",
        "proposals for the FastRCNN of the stage 'b'",
        "data.train_proposals and data.val_proposals",
    ),
    "another backbone": (
        f"stages=[{RPN}, {{name: b, model: {{type: FastRCNN}}, proposals: a}}]",
        "rpn_head of 'a'",
        "backbone",
        "freeze the backbone",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_stages_that_cannot_be_are_refused(config, case):
    override, *fragments = REFUSED[case]
    with pytest.raises(ConfigError) as refusal:
        StagedTraining(opened(config, override), (), describe=lambda training: ())
    tiny.assert_says(str(refusal.value), *fragments)


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        (("regime=exact", TWO), ("regime", "no regime 'exact' beside stages")),
        (("regime=alternating", "stages.5-rpn.freeze=[]"), ("5-rpn", "unknown key", "3-rpn")),
        (("regime=alternating", "stages.1-rpn=3"), ("stages.1-rpn", "a mapping", "3 (int)")),
        (("regime=alternating", "model.type=RPN"), ("FasterRCNN", "'RPN'", "as a list")),
        (("regime=alternating", "stages=3"), ("stages", "3")),
        (
            ("regime=alternating", "train_step.type=FasterRCNNWithNegatives"),
            ("train_step.type", "no type", "'alternating'", "'FasterRCNNWithNegatives'"),
        ),
    ],
)
def test_a_regime_that_does_not_fit_the_stages_is_refused(config, overrides, fragments):
    with pytest.raises(ConfigError) as refusal:
        opened(config, *overrides)
    tiny.assert_says(str(refusal.value), *fragments)
