"""The faults of a dataset, of all its splits together: what ``detkit data check`` finds."""

from detkit.data.faults.checks import check
from detkit.data.faults.corrected import corrected
from detkit.data.faults.fault import KINDS, Fault, mended, place_of

__all__ = ["KINDS", "Fault", "check", "corrected", "mended", "place_of"]
