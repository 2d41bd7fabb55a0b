"""train.accumulate: several small batches make the update that one large batch makes."""

import numpy as np
import pytest

from detkit.checkpoints import load_checkpoint
from support import tiny

PLUGIN = '''
from mxnet.gluon import HybridBlock, nn

from detkit.registry import BACKBONES, SAMPLERS


@BACKBONES.register(force=True)
class PlainBackbone(HybridBlock):
    """Without a batch norm, whose statistics are those of a batch."""

    channels, strides = (16,), (8,)

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            for before in (3, 16, 16):
                self.features.add(nn.Conv2D(16, 3, 2, 1, in_channels=before, activation="relu"))

    def hybrid_forward(self, F, images):
        return [self.features(images)]


@SAMPLERS.register(force=True)
class Last(HybridBlock):
    """As many boxes in every image, without a draw: the last, objects among the RoIs."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def hybrid_forward(self, F, labels):
        members = labels >= 0
        left = F.reverse(F.cumsum(F.reverse(members, axis=1), axis=1), axis=1)
        return F.where(members * (left <= self.size), labels, -F.ones_like(labels))
'''
COMPARABLE = (
    "model.backbone.type=PlainBackbone",
    "model.roi_head.dropout=0",
    "train_step.rpn_targets.assigner.neg_iou=0.7",
    "train_step.rpn_targets.sampler={type: Last, size: 100}",
    "train_step.roi_targets.sampler={type: Last, size: 6}",
    "train.schedule={type: StepSchedule, drops: [], warmup_steps: 0}",
    "train.epochs=1",
    "train.lr=0.1",
    "train.log_every=1",
)


LARGE, SMALL = ("train.batch_size=4",), ("train.batch_size=2", "train.accumulate=2")


def trained(folder, *overrides):
    """The weights after an epoch of twelve images, and the name of the checkpoint with them."""
    config = tiny.project(folder)
    (folder / "plugins/comparable.py").write_text(PLUGIN)
    assert tiny.train(config, folder / "run", *COMPARABLE, *overrides) == 0
    last = tiny.checkpoints(folder / "run")[-1]
    arrays = load_checkpoint(str(folder / "run" / "checkpoints" / last)).weights
    return {name: array.asnumpy() for name, array in arrays.items()}, last


def differences(one, other):
    """The largest difference of each weight."""
    return {name: np.abs(one[name] - other[name]).max() for name in one}


@pytest.mark.parametrize(
    "chosen",
    [(), ("train.clip_norm=0.5",), ("train.optimizer={type: AdamW}", "train.lr=1e-3")],
    ids=["SGD", "clip_norm", "AdamW"],
)
def test_an_epoch_of_small_batches_is_one_of_large_batches(tmp_path, chosen):
    large, after_3 = trained(tmp_path / "large", *chosen, *LARGE)
    small, after_6 = trained(tmp_path / "small", *chosen, *SMALL)
    alone, _ = trained(tmp_path / "alone", *chosen, SMALL[0])
    assert (after_3, after_6) == ("step-00000003", "step-00000006")
    for name, array in large.items():
        np.testing.assert_allclose(small[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
    assert max(differences(alone, large).values()) > 1e-3
