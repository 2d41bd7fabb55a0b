"""The base of all training steps: a detector, and the parts that only training uses."""

from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Tuple

from detkit.models import Network
from detkit.models.detectors.network import SCALES
from detkit.typing import NDArray

Losses = Dict[str, NDArray]  # {name: loss (1,)}, in the order of their computation
Derived = Any  # {argument: value} of a part, or a list of them for the parts of all stages


class TrainStep:
    """A function from a batch to its losses, which is called under autograd.record().

    A subclass is registered in TRAIN_STEPS under the name of the detector that it trains. A
    detector without its own step is trained by that of the class that it derives from.

    The ``__call__`` of a subclass takes the fields INPUTS of a Batch, as NDArrays on the device. It
    returns {name: loss (1,)}, where each loss is already weighted, and their sum is minimised.
    Nothing in it waits for the device.

    PARTS: {name: class, or registry} of the parts that only training uses, in the order of their
        use. For a class in a list, there is one part for each stage of a cascade.
    INPUTS: the names of fields of detkit.data.Batch. A step whose ``proposals`` need the scales of
        the images has SCALES, too, as its last one.
    VARIANT_OF: the name of the detector that the step trains if a config chooses it by
        ``train_step.type``. None for a step that is registered under the detector's name, or that
        ``regime`` chooses.

    Raises TypeError if the parts are not those of PARTS.
    """

    PARTS: Mapping[str, Any] = {}
    INPUTS: Tuple[str, ...] = ("images", "sizes", "boxes", "labels")
    VARIANT_OF: Optional[str] = None
    __call__: Callable[..., Losses]

    def __init__(self, model: Network, **parts: Any) -> None:
        if set(parts) != set(self.PARTS):
            raise TypeError(
                f"{type(self).__name__}: expected the parts {', '.join(self.PARTS) or 'none'}, "
                f"found {', '.join(parts) or 'none'}"
            )
        self.model = model
        for name in self.PARTS:
            setattr(self, name, parts[name])
        if getattr(parts.get("proposals"), "needs_scales", False):
            self.INPUTS = (*self.INPUTS, SCALES)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Returns a part: each is an attribute, under its name in PARTS."""

    @classmethod
    def derived(
        cls, name: str, model: Network, parts: Mapping[str, Any], num_classes: int
    ) -> Derived:
        """Returns {argument: value} for the arguments of a part that follow from the detector.

        A config cannot set these. If there is one part for each stage of a cascade, a list with one
        such mapping for each stage is returned.

        name: of the part. model: the detector. parts: {name: part} that were built before this one.
        num_classes: K.
        """
        return {}

    def hybridize(self, **flags: Any) -> None:
        """Compiles the blocks that only training uses; the flags are those of Block.hybridize."""
        for name in self.PARTS:
            getattr(self, name).hybridize(**flags)
