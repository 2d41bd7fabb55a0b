"""The layers of an R-CNN that no gradient trains: linear SVMs and box regressors in closed form.

detkit fit-svms is the program. The layers are fully connected ones of the detector's head.
"""

from detkit.fitting.head import FitOptions, Fitted, fit_head
from detkit.fitting.ridge import Linear, fit_ridge
from detkit.fitting.svm import MinedSVM, SVMOptions, fit_svm, require_solver

__all__ = [
    "FitOptions",
    "Fitted",
    "Linear",
    "MinedSVM",
    "SVMOptions",
    "fit_head",
    "fit_ridge",
    "fit_svm",
    "require_solver",
]
