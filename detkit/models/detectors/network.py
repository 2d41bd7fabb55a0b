"""The base of all detectors: named parts, the first three of which make levels of images."""

from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

from mxnet import gluon
from mxnet.gluon import HybridBlock

from detkit.models.normalize import Normalize
from detkit.registry import BACKBONES, NECKS
from detkit.typing import PerLevel, Tensor

SCALES = "scales"  # (B, 2): x and y, the size in the network's input / the size on disk


class Network(HybridBlock):
    """A detector as one graph that has no fixed batch size and no fixed image size.

    A subclass adds its parts to ``PARTS``, in the order in which the data passes them, and calls
    them in ``hybrid_forward``. A part that is left out of a config is None.

    PARTS: {name: what builds the part}. It is a registry if the config names a part by ``type``,
        which may be left out if the registry has a default, or the class of the part. It is in a
        list if the config has a list of such sections, one for each stage.
    INPUTS: the names of the fields of a Batch that ``hybrid_forward`` is called with. A detector
        whose ``proposals`` need the scales of the images has SCALES, too, as its last one.
    OUTPUTS: the names of the arrays that it returns; the last one need not be there.
    TELLS_CLASSES: whether the detector distinguishes the classes of the data. Otherwise it is
        trained on data of the single class "object".
    BOXES: the class of the detector that finds the boxes alone, if this one goes on from them. Such
        a detector has a method ``NAME_of(F, features, boxes, labels)``, too, where NAME is the last
        of its OUTPUTS, such as ``masks_of``.

    Raises TypeError if a part is not in PARTS.
    """

    PARTS: Mapping[str, Any] = {
        "normalize": Normalize,  # pixels -> network input (B, 3, H, W), zeros in the padding
        "backbone": BACKBONES,  # -> a list of maps (B, C, H, W), finest first
        "neck": NECKS,  # -> levels: a list of maps of C channels each; null: the backbone's maps
    }
    INPUTS: Tuple[str, ...] = ("images", "sizes")
    OUTPUTS: Tuple[str, ...] = ("boxes", "scores", "labels", "masks")
    TELLS_CLASSES = True
    BOXES: Optional[Type["Network"]] = None

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        unknown = sorted(set(parts) - set(self.PARTS))
        if unknown:
            raise TypeError(
                f"{type(self).__name__}: expected parts of {', '.join(self.PARTS)}, found "
                f"{', '.join(unknown)}"
            )
        with self.name_scope():
            for name in self.PARTS:
                setattr(self, name, parts.get(name))
        if getattr(parts.get("proposals"), "needs_scales", False):
            self.INPUTS = (*self.INPUTS, SCALES)

    def features(self, images: Tensor, sizes: Tensor) -> PerLevel:
        """Returns the levels, maps (B, C, H, W), finest first.

        Raises TypeError if the backbone returns no list.
        """
        maps = self.maps_of(self.normalize(images, sizes))
        return self.neck(maps) if self.neck else maps

    def maps_of(self, pixels: Tensor) -> PerLevel:
        """Returns the backbone's maps (B, C, H, W) of its input (B, 3, H, W), finest first.

        Raises TypeError if the backbone returns no list.
        """
        maps = self.backbone(pixels)
        if not isinstance(maps, (list, tuple)):
            name = type(self.backbone).__name__
            raise TypeError(
                f"the backbone {name}: expected a list of maps, finest first, found a single "
                f"{type(maps).__name__}; return [features] from its hybrid_forward"
            )
        return maps

    def anchored(self, features: PerLevel) -> PerLevel:
        """Returns the levels that have anchors, which the head of the anchors is given."""
        return features[getattr(self.anchors, "maps", slice(None))]

    def anchors_of(self, images: Tensor, features: PerLevel) -> List[Tensor]:
        """Returns anchors (1, N, 4) of each level; images are for a grid with measured strides."""
        measures = getattr(self.anchors, "measured_strides", False)
        return self.anchors(features, images) if measures else self.anchors(features)

    def weights_of_parts(self) -> Dict[str, Dict[str, gluon.Parameter]]:
        """Returns {part: {structural name: parameter}} of the parts that have weights.

        Constants, such as anchors, are no weights.
        """
        found: Dict[str, Dict[str, gluon.Parameter]] = {}
        for name, parameter in self._collect_params_with_prefix().items():
            if not isinstance(parameter, gluon.Constant):
                found.setdefault(name.partition(".")[0], {})[name] = parameter
        return {part: found[part] for part in self.PARTS if part in found}
