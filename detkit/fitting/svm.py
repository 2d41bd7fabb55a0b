"""Linear SVMs, trained on all objects of a class and on the negatives that are hard for them.

They are those of R-CNN's code (rcnn_train.m): liblinear's hinge loss, and negatives that are mined
image by image.
"""

import logging
import warnings
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from detkit.errors import DataError, TrainingError
from detkit.fitting.ridge import Linear
from detkit.wording import install

log = logging.getLogger(__name__)

HARD = -1.0001  # a negative of a higher margin violates it, and joins the negatives
EASY = -1.2  # a negative of a lower margin is dropped after a fit
REFIT_AFTER = 2000  # negatives of a class that joined since its last fit
MOST_ITERATIONS = 10_000

Key = Tuple[int, int]  # (image, row): of a region


class SVMOptions(NamedTuple):
    """The options of liblinear, with the values of R-CNN's code.

    c: the weight of the hinge losses against the norm of the SVM's weights.
    positive_weight: the factor of the losses of positives. bias_scale: the value of the constant
    feature whose weight is the bias. seed: of liblinear's order of the examples.
    """

    c: float = 1e-3
    positive_weight: float = 2.0
    bias_scale: float = 10.0
    seed: int = 0


def require_solver() -> Any:
    """Returns scikit-learn's LinearSVC.

    Raises TrainingError if scikit-learn is not installed.
    """
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise TrainingError(
            f"SVMs: expected the package scikit-learn to fit them, found none ({error}); "
            f"{install('rcnn')}"
        ) from error
    return LinearSVC


def fit_svm(
    positives: np.ndarray, negatives: np.ndarray, options: Optional[SVMOptions] = None
) -> Linear:
    """Returns the SVM of positives (n, d) and negatives (m, d), whose value is the margin.

    Raises TrainingError if scikit-learn is not installed.
    """
    c, positive_weight, bias_scale, seed = options or SVMOptions()
    solver = require_solver()(
        C=c,
        loss="hinge",
        dual=True,
        class_weight={1: positive_weight},
        intercept_scaling=bias_scale,
        max_iter=MOST_ITERATIONS,
        random_state=seed,
    )
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an end without convergence, which is said below
        solver.fit(np.concatenate([positives, negatives]), labels)
    if solver.n_iter_ >= MOST_ITERATIONS:
        log.warning(
            "the SVM of %d positives and %d negatives did not converge in %d iterations; a smaller "
            "weight of the losses (--svm-c) helps",
            len(positives),
            len(negatives),
            MOST_ITERATIONS,
        )
    return Linear(solver.coef_, solver.intercept_)


class MinedSVM:
    """The SVM of one class, and its negatives, which grow with every image that it is shown.

    Until the first fit every region joins the negatives. After it, only those do whose margin is
    above HARD. After each fit, those whose margin is below EASY are dropped.

    name: of the class, for messages. positives: (n, d).
    """

    def __init__(
        self, name: str, positives: np.ndarray, options: Optional[SVMOptions] = None
    ) -> None:
        self._name, self._positives, self._options = name, positives, options
        self._svm: Optional[Linear] = None
        self._keys: Dict[Key, None] = {}  # of the rows of _joined, in their order
        self._joined: List[np.ndarray] = [positives[:0]]
        self._since_fit = 0

    @property
    def negatives(self) -> List[Key]:
        """The regions that are negatives now."""
        return list(self._keys)

    def show(self, image: int, rows: np.ndarray, features: np.ndarray) -> None:
        """Adds the hard ones of some negative regions, and fits again after REFIT_AFTER of them.

        image: the number of the image. rows: (n,), the numbers of its regions. features: (n, d).
        """
        if self._svm is not None:
            hard = self._svm(features)[:, 0] > HARD
            rows, features = rows[hard], features[hard]
        new = np.array([(image, int(row)) not in self._keys for row in rows], bool)
        self._keys.update(((image, int(row)), None) for row in rows[new])
        self._joined.append(features[new])
        self._since_fit += int(new.sum())
        if self._since_fit > REFIT_AFTER:
            self.fit()

    def fit(self) -> Linear:
        """Returns the SVM of the positives and the negatives that there are.

        Raises DataError without negatives.
        """
        negatives = np.concatenate(self._joined)
        if not len(negatives):
            raise DataError(
                f"class {self._name!r}: expected regions that show none of its objects, found no "
                "negative for its SVM; give proposals of the background, too"
            )
        self._svm = fit_svm(self._positives, negatives, self._options)
        kept = self._svm(negatives)[:, 0] >= EASY
        self._keys = {key: None for key, stays in zip(self._keys, kept) if stays}
        self._joined, self._since_fit = [negatives[kept]], 0
        return self._svm
