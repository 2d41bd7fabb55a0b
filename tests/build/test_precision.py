"""train.precision: where bf16 is refused, what it changes, and which precision "auto" is."""

import mxnet as mx
import numpy as np
import pytest

from detkit.build import precision as build
from detkit.build.model import build_model, choose_operators
from detkit.build.precision import use_precision
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
    used = use_precision(config, model, precision)
    assert used == ("bf16" if multiplies_in_bfloat16(model) else "fp32")
    assert precision in (used, "auto")
    return model


def multiplies_in_bfloat16(model):
    """Whether all convolutions of a network do, or none."""
    layers = []
    model.apply(lambda block: layers.append(block) if isinstance(block, Conv2D) else None)
    (found,) = {layer.bfloat16 for layer in layers}
    return found


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


@pytest.mark.usefixtures("own_convolutions")
@pytest.mark.parametrize("has_it", [True, False])
def test_auto_asks_the_processor(config, monkeypatch, has_it):
    monkeypatch.setattr(build, "has_bfloat16", lambda: has_it)
    assert multiplies_in_bfloat16(built(config, "auto")) == has_it


def test_auto_asks_the_operators(config, monkeypatch):
    monkeypatch.setattr(build, "has_bfloat16", lambda: True)
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, "direct")
    assert not multiplies_in_bfloat16(built(config, "auto"))


def test_auto_is_fp32_on_a_gpu(config, monkeypatch):
    monkeypatch.setattr(build, "has_bfloat16", lambda: True)
    model = built(config, "fp32")
    backend.choose(backend.AUTO, on_gpu=True)
    assert use_precision(open_config(config), model, "auto") == "fp32"
    assert not multiplies_in_bfloat16(model)


def test_a_training_by_auto_is_one_of_the_precision_that_it_found(config, tmp_path, capsys):
    found = "bf16" if has_bfloat16() and backend.own_convolutions() else "fp32"
    for precision in ("auto", found):
        chosen = (f"train.precision={precision}", "train.epochs=1")
        assert tiny.train(config, tmp_path / precision, *chosen) == 0
        assert f"on cpu(0) in {found}\n" in capsys.readouterr().out
    last = tiny.checkpoints(tmp_path / "auto")[-1]
    paths = (tmp_path / name / "checkpoints" / last for name in ("auto", found))
    one, other = (load_checkpoint(str(path)).weights for path in paths)
    for name, weights in one.items():
        np.testing.assert_array_equal(weights.asnumpy(), other[name].asnumpy(), name)


@needs_bfloat16
@pytest.mark.usefixtures("own_convolutions")
def test_all_convolutions_multiply_in_it(config):
    images, sizes = mx.nd.random.uniform(0, 255, (1, 3, 64, 64)), mx.nd.array([[64, 64]])
    networks = built(config, "fp32"), built(config, "bf16")
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
