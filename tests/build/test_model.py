"""The section ``model`` of a config: what follows from a backbone's maps."""

import mxnet as mx
import pytest
from mxnet.gluon import HybridBlock

from detkit.build.maps import levels_of
from detkit.build.model import build_model, choose_operators
from detkit.build.sections import open_config
from detkit.errors import ConfigError
from detkit.ops import backend
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


def test_the_owner_of_the_process_chooses_the_operators(config, monkeypatch):
    monkeypatch.delenv(backend.VARIABLE, raising=False)
    opened = open_config(config, ["ops=mxnet"])
    before = backend.choose("auto")
    monkeypatch.setattr(backend.state, "chosen", before)
    build_model(opened, ("cat", "dog"), mx.cpu(), pretrained=False)
    assert backend.state.chosen == before  # a second network in a process changes nothing
    choose_operators(opened, mx.cpu())
    assert backend.state.chosen.name == "mxnet"
    with pytest.raises(ConfigError, match="ops: .*'fast'"):
        choose_operators(open_config(config, ["ops=fast"]), mx.cpu())
