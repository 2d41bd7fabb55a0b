"""Network: named parts, and the levels that the first three make of images."""

import mxnet as mx
import pytest

from detkit.models import FasterRCNN
from detkit.models.necks import FPN
from support.small import SmallBackbone


def test_a_part_that_is_left_out_is_none_and_an_unknown_one_is_refused():
    model = FasterRCNN(backbone=SmallBackbone())
    assert model.neck is None
    with pytest.raises(TypeError, match="FasterRCNN: .*backbone, neck, .*found bakbone$"):
        FasterRCNN(bakbone=SmallBackbone())


def test_the_levels_are_the_necks_or_the_backbones(small_model, images):
    batch = list(map(mx.nd.array, images((64, 48))))
    (alone,) = small_model().features(*batch)
    assert alone.shape == (1, 8, 8, 6)
    levels = small_model(neck=FPN([8], [8], channels=8)).features(*batch)
    assert [level.shape for level in levels] == [(1, 8, 8, 6), (1, 8, 4, 3)]
