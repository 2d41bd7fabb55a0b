"""The page of ``detkit report``: a summary of ``detkit.analysis`` becomes one file of HTML."""

from detkit.report.learning import curves_of_training, environment_of_run
from detkit.report.page import page
from detkit.report.pictures import add_all_boxes, first_of_each_kind, pictures_of

__all__ = [
    "add_all_boxes",
    "curves_of_training",
    "environment_of_run",
    "first_of_each_kind",
    "page",
    "pictures_of",
]
