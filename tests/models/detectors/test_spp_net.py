"""SPP-net: a Fast R-CNN with an image pyramid, spatial pyramid pooling and fixed convolutions."""

import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.build import build_model, open_config
from detkit.checkpoints import load_checkpoint
from detkit.detections.draw import save_image
from detkit.errors import ConfigError
from detkit.losses import RoILoss, SmoothL1
from detkit.models import SPP, FastRCNN
from detkit.models.backbones import ImagePyramid
from detkit.models.roi_heads import FCHead
from detkit.targets import MaxIoUAssigner, RandomSampler, RoITargets
from detkit.train_steps import FastRCNNTrainStep
from support import tiny
from support.detecting import agrees, assert_same
from support.detecting import exported as graph_of
from support.environment import BACKENDS
from support.exports import assert_same as assert_same_detections
from support.exports import boxes_in, exported, photos
from support.graphs import needs_onednn
from support.onnx_runs import ONNX, assert_agree
from support.projects import FAST_RCNN, given_proposals
from support.small import SmallBackbone
from support.steps import BOXES, EVERYTHING, LABELS, ROI_WEIGHTS, SIZES, totals_of_steps

pytestmark = pytest.mark.processor
SCALES, PHOTOS = (0.75, 1, 1.5), ((64, 80), (50, 96))


@pytest.fixture
def model(small_model):
    """A small SPP-net, which pools RoIs of some 24 pixels from the image as it is."""
    backbone = ImagePyramid(SmallBackbone(), SCALES)
    extractor = SPP(backbone.strides, 8, bins=(1, 2, 3), canonical_cells=3)
    head = FCHead(extractor.channels, extractor.size, 3, hidden=[16], dropout=0)
    return small_model(kind=FastRCNN, backbone=backbone, roi_extractor=extractor, roi_head=head)


def batch_of(images, *sizes, rows=9):
    """Images, sizes, and proposals of all scales with their scores."""
    pixels, sizes = images(*sizes)
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 30, (len(sizes), rows, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(4, 50, corner.shape)], axis=2)
    return pixels, sizes, boxes.astype("float32"), np.ones(boxes.shape[:2], "float32")


def test_imperative_hybridized_exported_and_each_row_alone_agree(model, images, tmp_path):
    batch = batch_of(images, (64, 48), (40, 80), (64, 80))
    found = agrees(model, *batch)
    assert (found[1] >= 0).any(axis=1).all()
    assert_same(
        [o.asnumpy() for o in graph_of(model, tmp_path, *batch)(*map(mx.nd.array, batch))], found
    )


@pytest.mark.parametrize("ops", BACKENDS)
def test_its_export_finds_what_it_finds(model, tmp_path, ops):
    detector, photographs = exported(model, tmp_path, ops), photos(*PHOTOS)
    given = boxes_in(photographs)
    found = detkit.load_exported(tmp_path).detect(photographs, given)
    assert_same_detections(found, detector.detect(photographs, given))


@ONNX
def test_onnx_runtime_finds_what_it_finds(model, images):
    assert_agree(model, batch_of(images, (64, 80)), batch_of(images, *PHOTOS))


def test_steps_change_the_fully_connected_layers_alone_and_learn_the_batch(model, images):
    convolutions = model.backbone.collect_params()
    convolutions.setattr("grad_req", "null")
    before = {name: p.data().asnumpy() for name, p in convolutions.items()}
    rois = MaxIoUAssigner(0.5, 0.5, best_for_object=False)
    targets = RoITargets(rois, RandomSampler(EVERYTHING, 1), ROI_WEIGHTS)
    step = FastRCNNTrainStep(model, roi_targets=targets, roi_loss=RoILoss(SmoothL1(1.0)))
    pixels, sizes, proposals, scores = batch_of(images, *SIZES)
    totals = totals_of_steps(step, (pixels, sizes, BOXES, LABELS, proposals, scores), count=150)
    assert totals[-1] < 0.1 * totals[0]
    assert before
    for name, parameter in convolutions.items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[name], name)


# --- from a config --------------------------------------------------------------------------------

SPP_NET = (
    *FAST_RCNN,
    "model.backbone={type: ImagePyramid, scales: [0.75, 1.25], backbone: {type: TinyBackbone}}",
    "model.roi_extractor={type: SPP, bins: [1, 2], canonical_cells: 3}",
    "train.multipliers=[{match: ^backbone, lr: 0}]",
)


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    """The folder of an SPP-net that the tool trained."""
    work = tmp_path_factory.mktemp("spp")
    assert tiny.train(config, work / "run", *SPP_NET, *given_proposals(work, config)) == 0
    return work / "run"


def test_a_learning_rate_of_zero_fixes_the_convolutions(trained):
    steps = [trained / f"checkpoints/step-{step:08d}" for step in (3, 6)]
    before, after = (load_checkpoint(str(step)).weights for step in steps)
    changed = {n for n, array in after.items() if (array.asnumpy() != before[n].asnumpy()).any()}
    learned = {name for name in changed if "running" not in name}
    assert learned == {name for name in after if name.startswith("roi_head.")}


def test_demo_draws_what_it_finds(trained, tmp_path, capsys):
    config, best = trained / "config.yaml", trained / "checkpoints/best"
    dataset = tiny.validation_set(config)
    save_image(tmp_path / f"{dataset.annotation(0).image_id}.png", dataset.image(0))
    given = ("--proposals", trained.parent / "val.npz", "--score", 0.001)
    words = (config, best, tmp_path, "--out", tmp_path / "drawn", *given)
    assert tiny.tool("demo", *words) == 0
    assert len(list((tmp_path / "drawn").iterdir())) == 1
    assert not capsys.readouterr().out.strip().endswith("nothing")


@needs_onednn
def test_an_8_bit_export_is_calibrated_and_evaluated(trained, tmp_path, capsys):
    config, best = trained / "config.yaml", trained / "checkpoints/best"
    words = ("--out", tmp_path / "int8", "--int8", "--calib", 2, "--keep", "first")
    assert tiny.tool("export", config, best, *words) == 0
    assert tiny.tool("test", config, tmp_path / "int8") == 0
    assert "AP50" in capsys.readouterr().out


def test_a_backbone_of_several_maps_is_refused_at_its_place(config):
    two = "{type: ImagePyramid, backbone: {type: VGG, depth: 11, out_strides: [8, 16]}}"
    opened = open_config(config, [*FAST_RCNN, f"model.backbone={two}"])
    with pytest.raises(ConfigError, match=r"model\.backbone.*ImagePyramid.*one map.*\[8, 16\]"):
        build_model(opened, ("cat", "dog"), mx.cpu(), pretrained=False)
