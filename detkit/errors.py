"""What goes wrong for reasons the user can mend.

Tools print these without a traceback and exit with status 1 (``--debug`` shows it). The message
names the place, what was found, what was expected and the next step.
"""


class DetkitError(Exception):
    """The base of every error that is the input's fault and not the program's.

    status: what a tool's process exits with.
    """

    status = 1


class ConfigError(DetkitError):
    """A config file, an override or a part's argument is wrong."""


class DataError(DetkitError):
    """A dataset, an annotation or an image cannot be used."""


class ImageError(DetkitError):
    """One image cannot be decoded; training skips it and counts it."""


class WeightsError(DetkitError):
    """A file of weights cannot be read or does not fit the network."""


class CheckpointError(DetkitError):
    """A checkpoint is incomplete, damaged or of another network."""


class TrainingError(DetkitError):
    """Training cannot go on: a loss is not finite, or nothing can be learned from the data."""


class ExportError(DetkitError):
    """An exported detector is incomplete, damaged or not for this machine, or cannot be written."""
