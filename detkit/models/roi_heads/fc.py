"""The fully connected RoI head: VGG's fc6 and fc7, or any other number of layers."""

from typing import Dict, Optional, Sequence, Tuple

from mxnet import init
from mxnet.gluon import HybridBlock, nn

from detkit.errors import WeightsError
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
    ranks: the rank of the weights of each layer, or null for a layer of full rank. A layer of rank
        t is two, the first with t outputs and neither bias nor ReLU (Girshick 2015, section 3.1).
        detkit compress makes such layers of trained ones. null: all are of full rank.
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
        ranks: Optional[Sequence[Optional[int]]] = None,
    ) -> None:
        super().__init__()
        self._boxes = 1 if class_agnostic else num_classes
        self._ranks = ranks
        width = in_channels * in_size * in_size
        with self.name_scope():
            self.fc = fc_layers(width, hidden, dropout, he_init, ranks)
            width = hidden[-1] if hidden else width
            self.classes = predictor(1 + num_classes, width, 0.01)
            self.boxes = predictor(self._boxes * 4, width, 0.001)

    def pretrained_part(self) -> Tuple[HybridBlock, Dict[str, str]]:
        """Returns fc6 and fc7, and {our name: name in torchvision's VGG files}.

        Raises WeightsError if the layers have ranks, because the file's weights have full rank.
        """
        if self._ranks is not None:
            raise WeightsError(
                f"expected layers of full rank for the weights of a file, found the ranks "
                f"{list(self._ranks)}; leave out pretrained, or leave out ranks and compress the "
                "trained detector (detkit compress)"
            )
        return self.fc, vgg_names(self.fc)

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
    width: int,
    hidden: Sequence[int],
    dropout: float,
    he_init: bool,
    ranks: Optional[Sequence[Optional[int]]] = None,
) -> nn.HybridSequential:
    """Returns fully connected layers over ``width`` features; for the arguments, see FCHead."""
    if any(units < 1 for units in hidden):
        raise ValueError(f"hidden: expected widths of at least 1, found {list(hidden)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout: expected a number in [0, 1), found {dropout}")
    if ranks is not None and len(ranks) != len(hidden):
        raise ValueError(
            f"ranks: expected a rank or null for each of {len(hidden)} layers, found {list(ranks)}"
        )
    layer_init = HE_FAN_IN if he_init else init.Normal(0.01)
    layers = nn.HybridSequential(prefix="fc_")
    for number, (units, rank) in enumerate(zip(hidden, ranks or [None] * len(hidden))):
        if rank is None:
            layers.add(nn.Dense(units, "relu", in_units=width, weight_initializer=layer_init))
        else:
            check_rank(f"ranks: {layer_name(number)}", rank, min(units, width))
            layers.add(_low_rank(width, rank, units, layer_init))
        if dropout:
            layers.add(nn.Dropout(dropout))
        width = units
    return layers


def vgg_names(layers: HybridBlock) -> Dict[str, str]:
    """Returns {our name: name in torchvision's VGG files} of the layers fc6 and fc7."""
    ours = layers._collect_params_with_prefix()
    theirs = (f"classifier.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias"))
    return dict(zip(ours, theirs))


def _low_rank(width: int, rank: int, units: int, layer_init: init.Initializer) -> HybridBlock:
    """Returns a layer whose weights (units, width) are the product of two matrices."""
    layer = nn.HybridSequential()
    layer.add(nn.Dense(rank, use_bias=False, in_units=width, weight_initializer=layer_init))
    layer.add(nn.Dense(units, "relu", in_units=rank, weight_initializer=layer_init))
    return layer


def check_rank(where: str, rank: int, full: int) -> None:
    """Raises ValueError, which begins with ``where``, unless a rank is in [1, full]."""
    if not 1 <= rank <= full:
        raise ValueError(f"{where}: expected a rank from 1 to {full}, found {rank}")


def layer_name(number: int) -> str:
    """Returns the name of a fully connected layer, from number 0 on, by VGG's count: fc6, fc7."""
    return f"fc{6 + number}"


def predictor(outputs: int, width: int, deviation: float) -> nn.Dense:
    """Returns the last layer, over ``width`` features, initialised by N(0, deviation)."""
    return nn.Dense(outputs, in_units=width, weight_initializer=init.Normal(deviation))
