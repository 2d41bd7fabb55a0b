"""The section ``model`` of a config: what follows from a backbone's maps."""

import mxnet as mx
import pytest
from mxnet.gluon import HybridBlock

from detkit.build.model import levels_of
from detkit.errors import ConfigError
from support import tiny
from support.small import SmallBackbone


class Listless(HybridBlock):
    """A backbone whose attributes a test sets."""


@pytest.mark.parametrize(
    ("attributes", "fragments"),
    [
        (
            {"channels": 8, "strides": (4,)},
            ["'channels'", "found channels = 8", "channels = (64,)"],
        ),
        ({"channels": (8,), "stride": 4}, ["'strides'", "found none", "strides = (16,)"]),
        ({"channels": (8,), "strides": ()}, ["'strides'", "found strides = ()"]),
        ({"channels": ("8",), "strides": (4,)}, ["'channels'", "found channels = ('8',)"]),
        ({"channels": (8, 8), "strides": (4,)}, ["2 channels", "1 strides"]),
    ],
)
def test_a_backbone_without_a_list_of_its_maps_is_refused(attributes, fragments):
    backbone = Listless()
    for name, value in attributes.items():
        setattr(backbone, name, value)
    with pytest.raises(ConfigError) as caught:
        levels_of(backbone, {"type": "Listless"})
    tiny.assert_says(str(caught.value), "'Listless'", *fragments)


class OneMap(SmallBackbone):
    """A backbone that returns its map as it is."""

    def hybrid_forward(self, F, images):
        return self.features(images)


def test_a_backbone_that_returns_no_list_is_refused(small_model):
    model = small_model(backbone=OneMap())
    with pytest.raises(TypeError, match=r"OneMap.*list of maps.*single NDArray.*\[features\]"):
        model.features(mx.nd.zeros((1, 3, 32, 32)), mx.nd.array([[32, 32]]))
