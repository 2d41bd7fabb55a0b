"""The errors that a user can mend.

Tools print the message without a traceback (unless ``--debug`` is given) and exit with status 1. A
message names the place, what was expected, what was found and what to do next.
"""


class DetkitError(Exception):
    """The base of every error that is a fault of the input and not of the program.

    status: the exit status of the tool's process.
    """

    status = 1


class ConfigError(DetkitError):
    """A config file, an override or a part's argument is wrong."""


class DataError(DetkitError):
    """A dataset, an annotation or an image cannot be used."""


class ImageError(DetkitError):
    """An image cannot be decoded; training skips it and counts it."""


class WeightsError(DetkitError):
    """A file of weights cannot be read or does not fit the network."""


class CheckpointError(DetkitError):
    """A checkpoint is incomplete, is damaged or belongs to another network."""


class TrainingError(DetkitError):
    """Training cannot go on: a loss is not finite, or nothing can be learned from the data."""


class ExportError(DetkitError):
    """An exported detector cannot be written, is damaged, or does not run on this machine."""
