"""The fully connected RoI head: VGG's fc6 and fc7, or any other number of layers."""

from typing import Dict, Sequence, Tuple

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import HE_FAN_IN
from detkit.registry import HEADS
from detkit.typing import Namespace, Tensor


@HEADS.register()
class FCHead(HybridBlock):
    """Fully connected layers, then class logits and box deltas side by side.

    This is the head of Girshick 2015, section 2. The defaults are VGG16's fc6 and fc7.

    in_channels, in_size: derived from the RoI extractor; num_classes: from the dataset.
    hidden: the widths of the layers.
    dropout: the share, in [0, 1), that is dropped after each of them during training.
    class_agnostic: whether there is one box per RoI instead of one for each class.
    he_init: whether the layers get He's initialisation (He et al. 2015) instead of N(0, 0.01),
        which suits wide layers over a pretrained backbone and makes narrow ones start too small.
    """

    def __init__(
        self,
        in_channels: int,
        in_size: int,
        num_classes: int,
        hidden: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        class_agnostic: bool = False,
        he_init: bool = False,
    ) -> None:
        super().__init__()
        self._boxes = 1 if class_agnostic else num_classes
        width = in_channels * in_size * in_size
        with self.name_scope():
            self.fc = fc_layers(width, hidden, dropout, he_init)
            width = hidden[-1] if hidden else width
            self.classes = predictor(1 + num_classes, width, 0.01)
            self.boxes = predictor(self._boxes * 4, width, 0.001)

    def pretrained_part(self) -> Tuple[HybridBlock, Dict[str, str]]:
        """Returns fc6 and fc7, and {our name: name in torchvision's VGG files}."""
        ours = self.fc._collect_params_with_prefix()
        theirs = (f"classifier.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias"))
        return self.fc, dict(zip(ours, theirs))

    def hybrid_forward(self, F: Namespace, roi_features: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns class logits (B * R, 1 + K) and deltas (B * R, K or 1, 4).

        Logit 0 is the background's. Logit 1 + k and delta k are those of class k.

        roi_features (B * R, C, P, P).
        """
        hidden = F.flatten(roi_features)
        if len(self.fc):  # a block of no layers that MXNet compiles alone passes no gradient on
            hidden = self.fc(hidden)
        deltas = F.reshape(self.boxes(hidden), shape=(0, self._boxes, 4))
        return self.classes(hidden), deltas


def fc_layers(
    width: int, hidden: Sequence[int], dropout: float, he_init: bool
) -> nn.HybridSequential:
    """Returns fully connected layers over ``width`` features; for the arguments, see FCHead."""
    if any(units < 1 for units in hidden):
        raise ValueError(f"hidden: expected widths of at least 1, found {list(hidden)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout: expected a number in [0, 1), found {dropout}")
    layer_init = HE_FAN_IN if he_init else init.Normal(0.01)
    layers = nn.HybridSequential(prefix="fc_")
    for units in hidden:
        layers.add(nn.Dense(units, "relu", in_units=width, weight_initializer=layer_init))
        if dropout:
            layers.add(nn.Dropout(dropout))
        width = units
    return layers


def predictor(outputs: int, width: int, deviation: float) -> nn.Dense:
    """Returns the last layer, over ``width`` features, initialised by N(0, deviation)."""
    return nn.Dense(outputs, in_units=width, weight_initializer=init.Normal(deviation))
