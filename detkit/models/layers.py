"""Layers: activations, and convolutions that fold the norms and sums after them."""

import math
from typing import Any, Dict, Iterable, NamedTuple, Optional

from mxnet import init
from mxnet.gluon import HybridBlock, Parameter, nn

from detkit import ops
from detkit.models.norms import NORM_LAYERS
from detkit.typing import Namespace, Tensor

# He's initialisation (He et al. 2015): normal numbers of the variance 2 / fan. The fan-in, the
# inputs of an output, keeps the size of the features; the fan-out keeps that of their gradients.
HE_FAN_IN = init.Xavier("gaussian", "in", 2)
HE_FAN_OUT = init.Xavier("gaussian", "out", 2)


def relu(F: Namespace, x: Tensor) -> Tensor:
    """Returns max(x, 0), of any shape, by the operator that oneDNN has.

    F.relu is MXNet's own operator, for which MXNet must reorder the output of each convolution.
    """
    return F.Activation(x, act_type="relu")


def relu6(F: Namespace, x: Tensor) -> Tensor:
    """Returns min(max(x, 0), 6), of any shape; MXNet's clip is several times slower on a CPU."""
    return ops.rectify(F, x, 6)


class ReLU6(HybridBlock):
    """The function ``relu6`` as a layer, which a FoldingSequential joins with a convolution."""

    most = 6.0

    def hybrid_forward(self, F: Namespace, x: Tensor) -> Tensor:
        """Returns min(max(x, 0), 6), of any shape."""
        return relu6(F, x)


class Epilogue(NamedTuple):
    """The sum and the ReLU after a convolution.

    rectified: whether there is a ReLU. most: its upper bound. residual: what is added before it, of
        the output's shape, or None.
    """

    rectified: bool = False
    most: float = math.inf
    residual: Optional[Tensor] = None

    def arguments(self) -> Dict[str, Any]:
        """Returns it as the keyword arguments of ``ops.convolution``."""
        return {"relu": self.rectified, "most": self.most, "residual": self.residual}

    def apply(self, F: Namespace, x: Tensor) -> Tensor:
        """Returns the output after it, of the shape of x."""
        x = x if self.residual is None else x + self.residual
        if not self.rectified:
            return x
        return relu(F, x) if self.most == math.inf else ops.rectify(F, x, self.most)


class Conv2D(nn.Conv2D):
    """Gluon's convolution, computed by ``ops.convolution``, which explains ``bfloat16``."""

    bfloat16 = False

    def hybrid_forward(
        self, F: Namespace, x: Tensor, weight: Tensor, bias: Optional[Tensor] = None
    ) -> Tensor:
        """Returns maps (B, C', H', W') of x (B, C, H, W), after the activation if there is one."""
        rectified = self.act is not None and _bound(self.act) is not None
        x = _convolution(F, x, self, weight, bias, Epilogue(rectified), "fwd")
        return x if self.act is None or rectified else self.act(x)


def _convolution(
    F: Namespace,
    x: Tensor,
    layer: nn.Conv2D,
    weight: Tensor,
    bias: Optional[Tensor],
    after: Epilogue,
    name: Optional[str] = None,
) -> Tensor:
    """Returns the convolution of a layer with ``after``, without the layer's own activation."""
    own = {"dtype": layer.weight.dtype, "bfloat16": getattr(layer, "bfloat16", False)}
    arguments = {**after.arguments(), **own, **layer._kwargs}
    return ops.convolution(F, x, weight, bias, name=name, **arguments)


class MaxPool2x2(nn.MaxPool2D):
    """Gluon's pooling of 2x2 cells, computed by ``ops.max_pool``."""

    def __init__(self) -> None:
        super().__init__(2, 2)

    def hybrid_forward(self, F: Namespace, x: Tensor) -> Tensor:
        """Returns maps (B, C, H // 2, W // 2) of x (B, C, H, W)."""
        return ops.max_pool(F, x)


class FoldingSequential(nn.HybridSequential):
    """A sequence of layers in which a frozen batch norm costs nothing.

    A BatchNorm with use_global_stats multiplies and shifts each channel by numbers that do not
    depend on the batch. After a convolution, the two are one convolution, whose kernel and bias are
    computed in the graph. MXNet's CPU kernel for such a norm takes longer than the network around
    it. The output and every gradient are those of the separate layers, scale and shift can still
    learn, and all names stay the same.
    """

    def hybrid_forward(self, F: Namespace, x: Tensor) -> Tensor:
        """Returns the output of the last layer."""
        return run_folding(F, x, self)


def run_folding(
    F: Namespace, x: Tensor, layers: Iterable[HybridBlock], residual: Optional[Tensor] = None
) -> Tensor:
    """Returns the output of ``layers``, one after another, for x; see FoldingSequential.

    residual: is added to the output, before the ReLU if the layers end with a convolution and its
        ReLU; None adds nothing.
    """
    waiting = list(layers)
    while waiting:
        layer = waiting.pop(0)
        if not isinstance(layer, nn.Conv2D):
            x = layer(x)
            continue
        norm = waiting.pop(0) if waiting and isinstance(waiting[0], NORM_LAYERS) else None
        most = _bound(waiting[0]) if waiting else None
        if most is not None:
            waiting.pop(0)
        after = Epilogue(most is not None, most or math.inf, None if waiting else residual)
        x = conv_norm(F, x, layer, norm, **after._asdict())
        residual = residual if waiting else None
    return x if residual is None else x + residual


def _bound(layer: HybridBlock) -> Optional[float]:
    """Returns the upper bound of a ReLU, or None if the layer is no ReLU."""
    if isinstance(layer, ReLU6):
        return layer.most
    return math.inf if isinstance(layer, nn.Activation) and layer._act_type == "relu" else None


def conv_norm(
    F: Namespace, x: Tensor, conv: nn.Conv2D, norm: Optional[HybridBlock], **epilogue: Any
) -> Tensor:
    """Returns norm(conv(x)), computed as one convolution if ``norm`` is a frozen batch norm.

    norm: None if there is none. epilogue: the arguments of an Epilogue, which may then be part of
        the convolution, too.
    """
    after = Epilogue(**epilogue)
    if isinstance(norm, nn.BatchNorm) and norm._kwargs["use_global_stats"]:
        return _folded(F, x, conv, norm, after)
    is_followed = after.rectified or after.residual is not None
    if is_followed and norm is None and isinstance(conv, Conv2D) and _can_be_followed(x, conv):
        bias = None if conv.bias is None else value_of(x, conv.bias)
        with conv.name_scope():
            return _convolution(F, x, conv, value_of(x, conv.weight), bias, after, "fwd")
    return after.apply(F, conv(x) if norm is None else norm(conv(x)))


def _can_be_followed(x: Tensor, conv: Conv2D) -> bool:
    """Returns whether what follows the layer follows its convolution, whose weight is known.

    A layer without ``in_channels`` knows the shape of its weight after its first call.
    """
    return conv.act is None and (not hasattr(x, "context") or 0 not in conv.weight.shape)


def value_of(x: Tensor, parameter: Parameter) -> Tensor:
    """Returns a parameter as an array if x is one, otherwise as a symbol."""
    return parameter.data(x.context) if hasattr(x, "context") else parameter.var()


def _folded(
    F: Namespace, x: Tensor, conv: nn.Conv2D, norm: nn.BatchNorm, after: Epilogue
) -> Tensor:
    """Returns norm(conv(x)) of a frozen batch norm as one convolution."""
    deviation = F.sqrt(value_of(x, norm.running_var) + norm._kwargs["eps"])
    scale = value_of(x, norm.gamma) / deviation
    # The gradient of broadcast_mul takes ten times as long as that of a product of equal shapes.
    weight = value_of(x, conv.weight)
    kernel = weight * F.broadcast_like(F.reshape(scale, shape=(-1, 1, 1, 1)), weight)
    mean = value_of(x, norm.running_mean)
    if conv.bias is not None:
        mean = mean - value_of(x, conv.bias)
    shift = value_of(x, norm.beta) - mean * scale
    return _convolution(F, x, conv, kernel, shift, after)
