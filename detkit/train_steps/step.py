"""What every training step is: a detector, and the parts that only training uses."""


class TrainStep:
    """A function from a batch to its named losses; call it under autograd.record().

    A subclass lists its ``PARTS``, name and class, in the order they are called, and is registered
    in TRAIN_STEPS under the name of the detector it trains; a detector without a step of its own is
    trained as the one it derives from. Nothing in a step waits for the device.
    """

    PARTS = {}

    def __init__(self, model, **parts):
        if set(parts) != set(self.PARTS):
            raise TypeError(
                f"{type(self).__name__} takes {', '.join(self.PARTS)}, not {', '.join(parts)}"
            )
        self.model = model
        for name in self.PARTS:
            setattr(self, name, parts[name])

    def hybridize(self, **flags):
        """Compile the blocks that only training uses."""
        for name in self.PARTS:
            getattr(self, name).hybridize(**flags)
