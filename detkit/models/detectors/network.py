"""What every detector is: named parts, and the levels that the first three make of the images."""

from mxnet.gluon import HybridBlock

from detkit.models.normalize import Normalize
from detkit.registry import BACKBONES, NECKS


class Network(HybridBlock):
    """A detector as one graph without a batch size or an image size in it.

    A subclass adds its own to ``PARTS``, in the order the data passes, and says in
    ``hybrid_forward`` how they are called. Each value of PARTS is what builds that part: a
    registry, where the config names one by ``type`` (which may be left out if the registry has a
    default), or the class itself; in a list, where the config has a list of such sections, one for
    each stage. A part that is left out is None.

    INPUTS: the fields of a Batch that ``hybrid_forward`` is called with.
    TELLS_CLASSES: whether it tells the classes of the data apart; if not, all are one to it.
    """

    PARTS = {
        "normalize": Normalize,  # pixels -> network input, the padding masked
        "backbone": BACKBONES,  # -> a list of maps (B, C, H, W), finest first
        "neck": NECKS,  # -> a list of maps of C channels each; null if the backbone's are that
    }
    INPUTS = ("images", "sizes")
    TELLS_CLASSES = True

    def __init__(self, **parts):
        super().__init__()
        unknown = sorted(set(parts) - set(self.PARTS))
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no part {', '.join(unknown)}; it has: "
                f"{', '.join(self.PARTS)}"
            )
        with self.name_scope():
            for name in self.PARTS:
                setattr(self, name, parts.get(name))

    def features(self, images, sizes):
        """The levels: a list of maps (B, C, H, W), finest first."""
        maps = self.backbone(self.normalize(images, sizes))
        if not isinstance(maps, (list, tuple)):
            name = type(self.backbone).__name__
            raise TypeError(
                f"the backbone {name}: expected a list of maps, finest first, found a single "
                f"{type(maps).__name__}; return [features] from its hybrid_forward"
            )
        return self.neck(maps) if self.neck else maps

    def anchored(self, features):
        """The levels that have anchors, for the head that judges them: all, as a rule."""
        return features[getattr(self.anchors, "maps", slice(None))]

    def anchors_of(self, images, features):
        """Anchors (1, N, 4) of each level; only a grid that measures its strides needs images."""
        measures = getattr(self.anchors, "measured_strides", False)
        return self.anchors(features, images) if measures else self.anchors(features)
