"""A cascade by its config: the tools on it, and what is said of one that is wrong."""

import cv2
import pytest

import detkit
from detkit.data import Shapes
from support import tiny

CONFIG = """
_base_: tiny.yaml

model:
  _delete_: true
  type: CascadeRCNN
  backbone: {type: TinyBackbone}
  anchors: {type: AnchorGrid, sizes: [12, 24], ratios: [1]}
  rpn_head: {type: RPNHead, channels: 16}
  proposals: {pre_nms: 100, post_nms: 16, min_size: 4}
  roi_extractor: {type: RoIAlign, size: 3}
  roi_heads:
    - &head {type: FCHead, hidden: [16], dropout: 0.5, class_agnostic: true}
    - *head
    - *head
  refine: {box_weights: [[10, 10, 5, 5], [20, 20, 10, 10]]}
  postprocess: {box_weights: [30, 30, 15, 15], score_floor: 0}

train_step:
  roi_targets:
    - assigner: {type: MaxIoUAssigner, pos_iou: 0.5, neg_iou: 0.5, best_for_object: false}
      sampler: &sampler {type: RandomSampler, size: 8, positive_share: 0.25}
    - assigner: {type: MaxIoUAssigner, pos_iou: 0.6, neg_iou: 0.6, best_for_object: false}
      sampler: *sampler
    - assigner: {type: MaxIoUAssigner, pos_iou: 0.7, neg_iou: 0.7, best_for_object: false}
      sampler: *sampler
  roi_loss:
    - {box: {type: SmoothL1}}
    - {box: {type: SmoothL1}, class_weight: 0.5, box_weight: 0.5}
    - {box: {type: SmoothL1}, class_weight: 0.25, box_weight: 0.25}
"""


def project(folder):
    """Writes the plugin and a cascade's config; returns the config's path."""
    config = tiny.project(folder).with_name("cascade.yaml")
    config.write_text(CONFIG)
    return config


MASKED = (
    "model.type=CascadeMaskRCNN",
    "model.mask_extractor={type: RoIAlign, size: 4}",
    "model.mask_head={type: MaskHead, convs: 1, channels: 8}",
)


SCALED = (
    "model.proposals.min_size_of=image",
    "train_step.proposals={pre_nms: 100, post_nms: 16, min_size: 4, min_size_of: image}",
)


@pytest.mark.parametrize("overrides", [(), MASKED, SCALED, (*MASKED, *SCALED)])
def test_the_tools_train_evaluate_and_draw(tmp_path, capsys, overrides):
    config, work = project(tmp_path), tmp_path / "work"
    assert tiny.tool("train", config, "--dry-run") == 0
    assert tiny.train(config, work, *overrides) == 0
    record = tiny.records(work, "train")[0]
    assert all(record[f"roi_{kind}_{stage}"] > 0 for kind in ("class", "box") for stage in (1, 3))
    config, best = work / "config.yaml", work / "checkpoints/step-00000006"
    assert tiny.tool("test", config, best) == 0
    assert "AP50" in capsys.readouterr().out
    image = Shapes(1, size=(50, 90)).image(0)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    arguments = (config, best, tmp_path / "a.png", "--out", tmp_path / "drawn", "--score", 0)
    assert tiny.tool("demo", *arguments) == 0
    assert cv2.imread(str(tmp_path / "drawn/a.png")).shape == (50, 90, 3)
    (found,) = detkit.load(config, best).detect([image])
    assert len(found.boxes) > 0
    assert (found.masks is not None) == (MASKED[0] in overrides)


HEAD = "{type: FCHead, hidden: [16]}"
TARGETS = "{assigner: {type: MaxIoUAssigner}, sampler: {type: RandomSampler}}"


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        (f"model.roi_heads=[{HEAD}, {HEAD}]", ("cascade.yaml:5", "2 roi_heads", "found 2")),
        (f"model.roi_heads={HEAD}", ("model.roi_heads", "expected a list of mappings")),
        ("model.roi_heads=[{type: FCHead, hiden: [16]}]", ("hiden", "did you mean 'hidden'")),
        ("model.refine.box_weights=[[1, 1, 1]]", ("expected a list of lists of 4 (float",)),
        ("model.roi_head={}", ("unknown key 'roi_head'", "did you mean 'roi_heads'")),
        (f"train_step.roi_targets={TARGETS}", ("train_step.roi_targets", "a list of mappings")),
        (f"train_step.roi_targets=[{TARGETS}]", ("expected 3", "model.roi_heads", "found 1")),
        ("train_step.roi_loss.1.weight=2", ("train_step.roi_loss.1.weight", "unknown key")),
        ("train_step.roi_loss=null", ("train_step.roi_loss", "a list of mappings, found null")),
    ],
)
def test_an_error_in_a_config_is_explained(tmp_path, capsys, override, fragments):
    config = project(tmp_path)
    message = tiny.refused(capsys, "train", config, "--dry-run", "--set", override)
    tiny.assert_says(message, *fragments)


def test_a_list_belongs_to_a_cascade(tmp_path, capsys):
    for override, found in (
        (f"model.roi_head=[{HEAD}]", "model.roi_head: expected a mapping, found"),
        (
            f"train_step.roi_targets=[{TARGETS}]",
            "train_step.roi_targets: expected a mapping, found",
        ),
    ):
        config = tiny.project(tmp_path)
        assert found in tiny.refused(capsys, "train", config, "--dry-run", "--set", override)
