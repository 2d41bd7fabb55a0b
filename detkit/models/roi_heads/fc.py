"""Fully connected RoI heads: VGG's fc6 and fc7, and every smaller stack of the kind."""

from typing import Sequence

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit.models.layers import HE_FAN_IN
from detkit.registry import HEADS


@HEADS.register()
class FCHead(HybridBlock):
    """Fully connected layers, then class logits and box deltas side by side.

    Girshick 2015, section 2; the defaults are VGG16's fc6 and fc7.

    in_channels, in_size: derived from the RoI extractor; num_classes: from the dataset.
    hidden: widths of the layers. dropout: after each of them, while training.
    class_agnostic: one box per RoI instead of one for each class.
    he_init: He's initialisation (He et al. 2015) of the layers instead of N(0, 0.01), which is made
        for wide layers over a pretrained backbone and starts narrow ones too small.
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
    ):
        super().__init__()
        self._boxes = 1 if class_agnostic else num_classes
        width = in_channels * in_size * in_size
        with self.name_scope():
            self.fc = fc_layers(width, hidden, dropout, he_init)
            width = hidden[-1] if hidden else width
            self.classes = predictor(1 + num_classes, width, 0.01)
            self.boxes = predictor(self._boxes * 4, width, 0.001)

    def pretrained_part(self):
        """fc6 and fc7, and our names -> theirs in torchvision's VGG files."""
        ours = self.fc._collect_params_with_prefix()
        theirs = (f"classifier.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias"))
        return self.fc, dict(zip(ours, theirs))

    def hybrid_forward(self, F, roi_features):
        """(B * R, C, P, P) -> class logits (B * R, 1 + K), deltas (B * R, K or 1, 4).

        Logit 0 is the background; logit 1 + k and delta k are of class k.
        """
        hidden = self.fc(F.flatten(roi_features))
        deltas = F.reshape(self.boxes(hidden), shape=(0, self._boxes, 4))
        return self.classes(hidden), deltas


def fc_layers(width, hidden, dropout, he_init):
    """Fully connected layers, as FCHead says, over ``width`` features."""
    if any(units < 1 for units in hidden) or not 0 <= dropout < 1:
        raise ValueError(
            f"hidden are widths of at least 1 and dropout is in [0, 1), not {list(hidden)}, "
            f"{dropout}"
        )
    layer_init = HE_FAN_IN if he_init else init.Normal(0.01)
    layers = nn.HybridSequential(prefix="fc_")
    for units in hidden:
        layers.add(nn.Dense(units, "relu", in_units=width, weight_initializer=layer_init))
        if dropout:
            layers.add(nn.Dropout(dropout))
        width = units
    return layers


def predictor(outputs, width, deviation):
    """The last layer, from ``width`` features, begun with N(0, deviation)."""
    return nn.Dense(outputs, in_units=width, weight_initializer=init.Normal(deviation))
