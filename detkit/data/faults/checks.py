"""All checks of a dataset, in the order in which their faults are listed.

A new check is a function here and a row of KINDS.
"""

from typing import List

from detkit.data.faults.boxes import duplicated_boxes, tiny_boxes
from detkit.data.faults.classes import missing_classes, similar_classes
from detkit.data.faults.fault import KINDS, Fault, Splits
from detkit.data.faults.images import copies, near_copies, other_sizes, undecodable
from detkit.data.faults.pictures import look_at
from detkit.data.faults.polygons import boxes_among_polygons, crossing_polygons
from detkit.data.faults.recorded import recorded_images, recorded_objects

OF_ANNOTATIONS = (
    recorded_images,
    recorded_objects,
    tiny_boxes,
    duplicated_boxes,
    crossing_polygons,
    boxes_among_polygons,
    similar_classes,
    missing_classes,
)
OF_PICTURES = (undecodable, other_sizes, copies, near_copies)


def check(splits: Splits, quick: bool = False) -> List[Fault]:
    """Returns the faults of the splits {name: dataset} of a dataset, by kind as KINDS lists them.

    quick: whether no image is decoded. Damage within a file and images that are nearly the same are
        then not found.
    """
    faults = [fault for find in OF_ANNOTATIONS for fault in find(splits)]
    pictures = look_at(splits, decode=not quick)
    faults += [fault for find in OF_PICTURES for fault in find(splits, pictures)]
    order = list(KINDS)
    return sorted(faults, key=lambda fault: order.index(fault.kind))
