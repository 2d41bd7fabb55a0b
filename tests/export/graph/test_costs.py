"""The bounds of memory and work of an exported graph; faults/ has graphs beyond them."""

import pytest

from detkit.export.graph.costs import check_costs
from detkit.export.graph.nodes import Node

IMAGE = {"images": (1, 3, 256, 256)}


def layer(op, channels, filters, images=1):
    """A 3x3 convolution of a map of 256 x 256 of each image."""
    return [
        Node("null", "x", {}, [], [(images, channels, 256, 256)]),
        Node("null", "weight", {}, [], [(filters, channels, 3, 3)]),
        Node(op, "conv", {}, [(0, 0), (1, 0)], [(images, filters, 256, 256)]),
    ]


@pytest.mark.parametrize(
    "op", ["Convolution", "detkit_conv3x3", "detkit_conv1x1", "detkit_depthwise"]
)
def test_the_work_of_a_convolution_is_bounded(op):
    assert check_costs(layer(op, 64, 64), [(2, 0)], IMAGE) is None
    expected, found = check_costs(layer(op, 4096, 4096), [(2, 0)], IMAGE)
    assert "steps" in expected and found > 4096 * 256 * 256 * 4096 * 9 // 256


@pytest.mark.parametrize(
    "op, key, steps",
    [("_contrib_ROIAlign", "sample_ratio", 8), ("detkit_roi_align", "sampling", 1)],
)
def test_the_samples_of_roi_align_are_bounded(op, key, steps):
    def pooled(samples):
        return [
            Node("null", "x", {}, [], [(1, 256, 16, 16)]),
            Node("null", "rois", {}, [], [(1000, 5)]),
            Node(op, "pool", {key: str(samples)}, [(0, 0), (1, 0)], [(1000, 256, 7, 7)]),
        ]

    assert check_costs(pooled(4), [(2, 0)], IMAGE) is None
    expected, found = check_costs(pooled(60), [(2, 0)], IMAGE)
    assert "steps" in expected and found // (1000 * 256 * 49 * 3600) == steps


@pytest.mark.parametrize(
    "op, limits",
    [
        ("detkit_nms", {"top_k_in": "1000", "top_k_out": "1000"}),
        ("detkit_nms", {"top_k_in": "-1", "top_k_out": "1000"}),
        ("_contrib_box_nms", {"topk": "1000"}),
    ],
)
def test_an_nms_compares_no_more_boxes_than_it_takes(op, limits):
    """A RetinaNet takes the best 1,000 of 1,000 anchors x 80 classes on each level."""

    def suppressed(attributes):
        return [
            Node("null", "boxes", {}, [], [(1, 300000, 6)]),
            Node(op, "nms", attributes, [(0, 0)], [(1, 1000, 6)]),
        ]

    assert check_costs(suppressed(limits), [(1, 0)], IMAGE) is None
    expected, found = check_costs(suppressed({}), [(1, 0)], IMAGE)
    assert "steps" in expected and found > 300000**2


def test_small_images_count_as_one_of_256_x_256():
    nodes = layer("Convolution", 512, 4096)  # as many values as 1,000 RoIs of R50-C4 need
    small = {"images": (1, 3, 64, 80)}
    assert check_costs(nodes, [(2, 0)], IMAGE) == check_costs(nodes, [(2, 0)], small)


def test_a_batch_of_small_images_may_take_as_much_as_its_images_alone():
    small = {"images": (8, 3, 64, 80), "sizes": (8, 2)}
    assert check_costs(layer("Convolution", 512, 4096, 8), [(2, 0)], small) is None
    expected, found = check_costs(layer("Convolution", 4096, 4096, 8), [(2, 0)], small)
    assert "steps" in expected and found > 8 * 4096 * 256 * 256 * 4096 * 9 // 256


def test_arrays_that_are_there_at_once_are_bounded():
    expected, found = check_costs(layer("Convolution", 1, 16384), [(2, 0)], IMAGE)
    assert "values at once" in expected and found == 2 * 16384 * 256 * 256  # the caller has a copy
