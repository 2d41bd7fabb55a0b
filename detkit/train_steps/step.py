"""What every training step is: a detector, and the parts that only training uses."""


class TrainStep:
    """A function from a batch to its losses; call it under autograd.record().

    A subclass is registered in TRAIN_STEPS under the name of the detector that it trains. A
    detector without a step of its own is trained as the one that it derives from. A step's
    ``__call__`` takes the fields INPUTS of a Batch, as NDArrays on the device, and returns
    {name: loss (1,)}, each loss weighted already; their sum is minimised. Nothing in it waits for
    the device.

    PARTS: {name: class, or registry} of the parts that only training uses, in the order of their
        use. A class in a list is built once for each stage of a cascade.
    INPUTS: names of fields of detkit.data.Batch.
    """

    PARTS = {}
    INPUTS = ("images", "sizes", "boxes", "labels")

    def __init__(self, model, **parts):
        if set(parts) != set(self.PARTS):
            raise TypeError(
                f"{type(self).__name__} takes {', '.join(self.PARTS)}, not {', '.join(parts)}"
            )
        self.model = model
        for name in self.PARTS:
            setattr(self, name, parts[name])

    @classmethod
    def derived(cls, name, model, parts, num_classes):
        """{argument: value} of the part ``name`` that follow from the detector, not from a config.

        For a part of which there is one for each stage, a list of such mappings.

        model: the detector. parts: {name: part} that were built before this one.
        """
        return {}

    def hybridize(self, **flags):
        """Compile the blocks that only training uses."""
        for name in self.PARTS:
            getattr(self, name).hybridize(**flags)
