"""train.precision: where bf16 is refused, and what it changes."""

import mxnet as mx
import numpy as np
import pytest

from detkit.build import model as build
from detkit.build.model import build_model, choose_operators, use_precision
from detkit.build.sections import open_config
from detkit.checkpoints import load_checkpoint
from detkit.errors import ConfigError
from detkit.models.layers import Conv2D
from detkit.ops import backend
from detkit.processor import has_bfloat16
from support import tiny

pytestmark = pytest.mark.processor
needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no avx512_bf16")


def built(config, precision):
    config = open_config(config)
    choose_operators(config, mx.cpu())
    model = build_model(config, ["a", "b"], mx.cpu())
    use_precision(config, model, precision)
    return model


@pytest.mark.usefixtures("own_convolutions")
def test_a_cpu_without_it(config, monkeypatch):
    monkeypatch.setattr(build, "has_bfloat16", lambda: False)
    with pytest.raises(ConfigError) as caught:
        built(config, "bf16")
    tiny.assert_says(
        str(caught.value), "train.precision", "avx512_bf16", "detkit's convolutions", "fp32"
    )
    built(config, "fp32")


def test_operators_without_it(config, monkeypatch):
    monkeypatch.setattr(build, "has_bfloat16", lambda: True)
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, "direct")
    with pytest.raises(ConfigError) as caught:
        built(config, "bf16")
    tiny.assert_says(str(caught.value), "train.precision", "found", "MXNet's convolutions", "fp32")


@needs_bfloat16
@pytest.mark.usefixtures("own_convolutions")
def test_all_convolutions_multiply_in_it(config):
    images, sizes = mx.nd.random.uniform(0, 255, (1, 3, 64, 64)), mx.nd.array([[64, 64]])
    single, model = built(config, "fp32"), built(config, "bf16")
    layers = []
    model.apply(lambda block: layers.append(block) if isinstance(block, Conv2D) else None)
    assert layers and all(layer.bfloat16 for layer in layers)
    networks = single, model
    scores = [each.rpn_head(each.features(images, sizes))[0][0].asnumpy() for each in networks]
    assert not np.array_equal(*scores)
    np.testing.assert_allclose(*scores, atol=0.05)


@needs_bfloat16
@pytest.mark.usefixtures("own_convolutions")
def test_a_training_is_near_and_repeats_its_bits(config, tmp_path):
    for name, precision in (("single", "fp32"), ("one", "bf16"), ("two", "bf16")):
        assert tiny.train(config, tmp_path / name, f"train.precision={precision}") == 0
    last = {name: max(tiny.checkpoints(tmp_path / name)) for name in ("single", "one", "two")}
    paths = {name: tmp_path / name / "checkpoints" / step for name, step in last.items()}
    tiny.assert_same_checkpoint(paths["one"], paths["two"])
    single, halves = (load_checkpoint(str(paths[name])).weights for name in ("single", "one"))
    differ = 0
    for name, weights in single.items():
        np.testing.assert_allclose(halves[name].asnumpy(), weights.asnumpy(), atol=0.02)
        differ += not np.array_equal(halves[name].asnumpy(), weights.asnumpy())
    assert differ > 0
