"""Convolutions: gradients that are added, and whose operator is used; native/ has the numbers."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from detkit import ops
from detkit.errors import ConfigError
from detkit.ops import backend
from support import conv_oracles as oracles
from support.blocks import FunctionBlock
from support.conv_oracles import draw
from support.graphs import ops_of

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("own_convolutions")]


def arguments(filters, **changes):
    return {"kernel": (3, 3), "pad": (1, 1), "num_filter": filters, **changes}


# --- Gradients that are added ---------------------------------------------------------------------


def one(F, x, weight, bias):
    return ops.convolution(F, x, weight, bias, relu=True, **arguments(4))


def several(F, x, weight, bias):
    """Inputs that two convolutions read, and results that three do."""
    first = one(F, x, weight, bias) - one(F, x, weight * 2, bias)
    x, weight = F.sin(x), F.sin(weight)
    return first + sum(one(F, x, weight, bias * scale) for scale in (1, 2, 3))


def many(F, x, weight, bias):
    """More readers than MXNet adds up apart unless it is told to."""
    x, weight, bias = F.sin(x), F.sin(weight), F.sin(bias)
    return sum(one(F, x, weight, bias) * scale for scale in range(1, 12))


def all_kinds(F, x, weight, bias):
    """Convolutions of all kinds, one of them with a sum, of arrays that others read, too."""
    narrow = F.slice_axis(weight, axis=0, begin=0, end=3)
    own = {"kernel": (3, 3), "pad": (1, 1), "num_filter": 3, "num_group": 3}
    each = F.slice_axis(narrow, axis=1, begin=0, end=1)
    out = ops.convolution(F, x, each, None, relu=True, most=1.0, **own)
    kernel = F.slice(weight, begin=(0, 0, 0, 0), end=(4, 3, 1, 1))
    wide = one(F, x, weight, bias)
    point = {"kernel": (1, 1), "num_filter": 4}
    return ops.convolution(F, out, kernel, bias, relu=True, most=3.0, residual=wide, **point) - wide


@pytest.mark.parametrize("function", [one, several, many, all_kinds])
@pytest.mark.parametrize("request_", ["write", "add"])
@pytest.mark.parametrize(
    "hybridized", [None, {}, {"static_alloc": True}, {"static_alloc": True, "static_shape": True}]
)
def test_gradients_are_added_where_they_should_be(function, request_, hybridized):
    arrays = draw(0, 2, 3, 4, 9, 10)[:3]
    found = []
    for direct in (False, True):
        inputs = [mx.nd.array(array) for array in arrays]
        for array in inputs:
            array.attach_grad(request_)
        block = FunctionBlock(function)
        block.hybridize(hybridized is not None, **(hybridized or {}))
        for _ in range(2):
            with autograd.record(), backend.using("native", direct=direct):
                out = block(*inputs)
            out.backward()
        found.append([array.grad.asnumpy() for array in inputs])
    for added, expected in zip(*found):
        np.testing.assert_allclose(added, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("trained", [0, 1, 2])
def test_gradients_that_nobody_wants_change_no_other(trained):
    data, weights, bias, grad_out = draw(0, 1, 3, 4, 9, 10)
    found = []
    for requests in (["write"] * 3, ["write" if n == trained else "null" for n in range(3)]):
        arrays = [mx.nd.array(array) for array in (data, weights, bias)]
        for array, request in zip(arrays, requests):
            array.attach_grad(request)
        with autograd.record():
            out = one(mx.nd, *arrays)
        out.backward(mx.nd.array(grad_out))
        found.append(arrays[trained].grad.asnumpy())
    np.testing.assert_array_equal(*found)


# --- Which operator is used -----------------------------------------------------------------------


def names_of(bias=True, relu=True, **changes):
    """The operators of a convolution as a graph."""
    names = ("x", "weight", "bias")[: 2 + bias]
    given = arguments(4, **changes)
    given = {name: value for name, value in given.items() if value is not ...}
    symbol = ops.convolution(mx.sym, *map(mx.sym.var, names), relu=relu, name="conv", **given)
    return [name for name in ops_of(symbol) if name != "_copy"]


DIRECT = ["Convolution", "Activation"]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_3x3_convolutions_are_detkits(bias, relu):
    assert names_of(bias, relu) == ["detkit_conv3x3"]
    assert names_of(bias, relu, stride=(1, 1), dilate=(1, 1), num_group=1, layout="NCHW") == [
        "detkit_conv3x3"
    ]
    with backend.using("native", direct=True):
        assert names_of(bias, relu) == DIRECT[: 1 + relu]


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": (1, 1)},  # with a padding of 1
        {"kernel": (5, 5)},
        {"kernel": (3, 1)},
        {"kernel": (3,), "pad": (1,)},
        {"pad": (0, 0)},
        {"pad": ...},  # MXNet's default is no padding
        {"pad": (2, 2)},
        {"stride": (2, 2)},
        {"dilate": (2, 2)},
        {"num_group": 2},
        {"layout": "NHWC"},
        {"dtype": "float64"},
        {"dtype": np.float16},
    ],
)
def test_all_others_are_mxnets(changes):
    assert names_of(**changes) == DIRECT


def test_mxnets_operators_and_a_gpu_have_mxnets_convolution(monkeypatch):
    with backend.using("mxnet"):
        assert names_of() == DIRECT
    with monkeypatch.context() as patch:
        patch.setattr(backend, "has_cuda", lambda path: True)
        assert backend.choose("native", on_gpu=True).name == "native"
        assert names_of() == DIRECT
        backend.choose("native")
    assert names_of() == ["detkit_conv3x3"]


def test_arrays_of_another_type_have_mxnets_convolution():
    data, weights, bias, _ = draw(0, 1, 3, 4, 5, 6)
    arrays = [mx.nd.array(array, dtype="float64") for array in (data, weights, bias)]
    out = ops.convolution(mx.nd, *arrays, **arguments(4))
    assert out.dtype == np.float64
    np.testing.assert_allclose(out.asnumpy(), oracles.conv3x3(data, weights, bias), rtol=1e-12)


@pytest.mark.parametrize(("value", "expected"), [("direct", DIRECT), ("own", None), ("", None)])
def test_the_environment_chooses(monkeypatch, value, expected):
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, value)
    assert names_of() == (expected or ["detkit_conv3x3"])


def test_another_value_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv(backend.CONVOLUTIONS_VARIABLE, "Own")
    with pytest.raises(ConfigError) as caught:
        names_of()
    for part in ("DETKIT_CONV", "'Own'", "own", "direct"):
        assert part in str(caught.value)


@pytest.mark.parametrize("changes", [{"num_group": 0}, {"stride": (1, 0)}])
@pytest.mark.parametrize("operators", ["native", "mxnet"])
def test_what_mxnet_would_divide_by_is_refused(changes, operators):
    arrays = [mx.nd.array(array) for array in draw(0, 1, 3, 4, 5, 6)[:3]]
    with backend.using(operators), pytest.raises(ValueError) as caught:
        ops.convolution(mx.nd, *arrays, **arguments(4, **changes))
    for part in ("convolution", next(iter(changes)), "above 0", "found 0"):
        assert part in str(caught.value)


@pytest.mark.parametrize("kernel", [1, 3])
def test_weights_without_a_channel_are_refused(kernel):
    x, weight = mx.nd.ones((1, 4, 5, 5)), mx.nd.array(np.ones((8, 0, kernel, kernel)))
    window = {"kernel": (kernel, kernel), "pad": (kernel // 2, kernel // 2), "num_filter": 8}
    with pytest.raises(mx.MXNetError, match="weights are"):
        ops.convolution(mx.nd, x, weight, **window).wait_to_read()


def test_lists_are_arguments_like_tuples():
    arrays = [mx.sym.var(name) for name in ("x", "weight")]
    lists = {key: list(value) for key, value in arguments(4).items() if key != "num_filter"}
    names = ops_of(ops.convolution(mx.sym, *arrays, num_filter=4, **lists))
    assert "detkit_conv3x3" in names
