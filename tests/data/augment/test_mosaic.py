"""Transforms of several images: Mosaic, MixUp and CopyPaste, and how the loader draws for them."""

import cv2
import numpy as np
import pytest

from detkit.build import build_transforms
from detkit.config import load_config
from detkit.data import HorizontalFlip, Loader, OneClass, Shapes
from detkit.data.augment import CopyPaste, MixUp, Mosaic
from detkit.data.sample import Sample, unlabelled
from detkit.data.transforms import apply
from detkit.errors import ConfigError, DataError
from support import tiny
from support.pictures import Pictures


def rng(seed=0):
    return np.random.default_rng(seed)


def block(value, size, box, label, masks=True):
    """An image of one grey with one brighter rectangle."""
    image, mask = np.full((*size, 3), value, np.uint8), np.zeros((1, *size), np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = value + 100
    mask[0, y1:y2, x1:x2] = 1
    boxes, labels = np.array([box], np.float32), np.array([label], np.int32)
    return Sample(label, image, boxes, labels, np.zeros(1, bool), mask if masks else None)


def draws(*samples):
    return iter(samples).__next__


@pytest.mark.parametrize("masks", [True, False])
def test_a_mosaic_has_four_images_around_a_point(masks):
    four = [block(10 * n, (40, 40), (0, 0, 40, 40), n, masks) for n in range(4)]
    mosaic = Mosaic((60, 80), scale=(2, 2), junction=(0.4, 0.6), visible=0)
    for seed in range(5):
        mixed = mosaic(four[0], rng(seed), draws(*four[1:]))
        assert mixed.image.shape == (60, 80, 3) and mixed.image_id == 0
        # Each image is one object, which fills its quarter.
        assert mixed.labels.tolist() == [0, 1, 2, 3] and not mixed.difficult.any()
        x, y = mixed.boxes[0, 2:].astype(int)
        assert 32 <= x <= 48 and 24 <= y <= 36
        quarters = [[0, 0, x, y], [x, 0, 80, y], [0, y, x, 60], [x, y, 80, 60]]
        assert mixed.boxes.tolist() == quarters
        for n, (x1, y1, x2, y2) in enumerate(quarters):
            assert (mixed.image[y1:y2, x1:x2] == 10 * n + 100).all()


def test_small_images_of_a_mosaic_touch_its_point():
    four = [block(10 * n, (40, 40), (0, 0, 40, 40), n) for n in range(4)]
    mixed = Mosaic((80, 80), scale=(0.25, 0.25), junction=(0.5, 0.5))(
        four[0], rng(), draws(*four[1:])
    )
    expected = [[20, 20, 40, 40], [40, 20, 60, 40], [20, 40, 40, 60], [40, 40, 60, 60]]
    assert mixed.boxes.tolist() == expected
    assert mixed.image[0, 0].tolist() == [124, 116, 104]


def test_mixup_is_the_mean_with_the_objects_of_both():
    one, other = block(0, (20, 30), (5, 5, 10, 10), 0), block(100, (40, 10), (0, 0, 8, 8), 1)
    mixed = MixUp(alpha=1000, fill=(50, 50, 50), p=1)(one, rng(), draws(other))
    assert mixed.image.shape == (40, 30, 3)
    assert mixed.labels.tolist() == [0, 1] and mixed.masks.shape == (2, 40, 30)
    np.testing.assert_array_equal(mixed.boxes, np.concatenate([one.boxes, other.boxes]))
    for at, expected in [((6, 6), 150), ((0, 29), 25), ((39, 0), 75), ((39, 29), 50)]:
        np.testing.assert_allclose(mixed.image[at], expected, atol=10)
    assert MixUp(p=0)(one, rng(), draws()) is one


def test_objects_of_a_faint_image_are_difficult():
    one, other = block(0, (20, 30), (5, 5, 10, 10), 0), block(100, (20, 30), (0, 0, 8, 8), 1)
    faint = [MixUp(0.01, p=1)(one, rng(seed), draws(other)).difficult for seed in range(20)]
    assert {tuple(each) for each in faint} == {(True, False), (False, True)}


def test_copy_paste_covers_and_cuts():
    below = block(0, (40, 60), (10, 10, 30, 30), 0)
    above = block(100, (40, 60), (20, 0, 40, 40), 1)
    pasted = CopyPaste(share=1)(below, rng(), draws(above))
    assert pasted.labels.tolist() == [0, 1]
    assert pasted.boxes.tolist() == [[10, 10, 20, 30], [20, 0, 40, 40]]
    assert (pasted.image[:, 20:40] == 200).all() and (pasted.image[:, 40:] == 0).all()
    assert (pasted.image[10:30, 10:20] == 100).all()
    assert not (pasted.masks[0] & pasted.masks[1]).any()
    for share, p in ((0, 1), (1, 0)):
        assert CopyPaste(share, p=p)(below, rng(), draws(above)) is below


def test_copy_paste_hides_objects():
    below = block(0, (40, 60), (10, 10, 30, 30), 0)
    nearly, all_of_it = (block(100, (40, 60), (x, 0, 40, 40), 1) for x in (11, 10))
    hidden = CopyPaste(share=1)(below, rng(), draws(nearly))
    assert (hidden.labels.tolist(), hidden.difficult.tolist()) == ([0, 1], [True, False])
    assert CopyPaste(share=1)(below, rng(), draws(all_of_it)).labels.tolist() == [1]


def test_difficult_objects_and_those_without_a_mask_are_not_pasted():
    below, above = (block(n, (40, 60), (10, 10, 30, 30), n) for n in (0, 1))
    for other in (
        above._replace(difficult=np.array([True])),
        above._replace(masks=np.zeros_like(above.masks)),
    ):
        assert CopyPaste(share=1)(below, rng(), draws(other)) is below
    empty = unlabelled(np.zeros((40, 60, 3), np.uint8))
    empty = empty._replace(masks=np.zeros((0, 40, 60), np.uint8))
    assert CopyPaste(share=1)(below, rng(), draws(empty)) is below
    assert CopyPaste(share=1)(empty, rng(), draws(above)).labels.tolist() == [1]


def test_copy_paste_brings_the_proposals_of_its_objects():
    below, above = (block(n, (40, 60), (10, 10, 30, 30), n) for n in (0, 1))
    below = below._replace(proposals=np.array([[0, 0, 9, 9]], np.float32))
    above = above._replace(proposals=np.array([[9, 9, 30, 31], [40, 0, 60, 9]], np.float32))
    pasted = CopyPaste(share=1)(below, rng(), draws(above))
    assert pasted.proposals.tolist() == [[0, 0, 9, 9], [9, 9, 30, 31]]


def test_a_drawn_image_passes_the_transforms_before():
    left, right = block(0, (20, 30), (0, 0, 10, 20), 0), block(0, (20, 30), (20, 0, 30, 20), 1)
    mixed = apply([HorizontalFlip(1), MixUp(p=1)], left, rng(), lambda: right)
    assert mixed.boxes.tolist() == [[20, 0, 30, 20], [0, 0, 10, 20]]
    mixed = apply([MixUp(p=1), HorizontalFlip(1)], left, rng(), lambda: right)
    assert mixed.boxes.tolist() == [[20, 0, 30, 20], [0, 0, 10, 20]]
    # A mixture of mixtures has four images.
    assert len(apply([MixUp(p=1)] * 2, left, rng(), lambda: right).boxes) == 4


def test_one_image_alone_is_not_mixed():
    with pytest.raises(DataError, match="transform Mosaic: expected a dataset"):
        apply([Mosaic()], unlabelled(np.zeros((9, 9, 3), np.uint8)), rng())


# --- The loader -----------------------------------------------------------------------------------


def values_of(loader):
    """The values of the plain images that the batches are made of."""
    return [set(np.unique(batch.images).tolist()) for batch in loader.batches(0)]


def test_the_loader_draws_other_images():
    mosaic = Mosaic((32, 32), scale=(4, 4))
    plain = Loader(Pictures([(32, 32)] * 50), [mosaic], 1)
    drawn = values_of(plain)
    assert all(index in values for index, values in enumerate(drawn))
    assert len(set.union(*drawn)) == 50 and max(map(len, drawn)) == 4
    assert values_of(Loader(Pictures([(32, 32)] * 50), [mosaic], 1, seed=1)) != drawn
    left_out = dict.fromkeys(range(20, 50), "no object")
    rest = values_of(Loader(Pictures([(32, 32)] * 50), [mosaic], 1, left_out=left_out))
    assert len(rest) == 20 and max(set.union(*rest)) == 19


@pytest.mark.parametrize("workers", [0, 3])
def test_bad_images_are_not_drawn_and_are_counted(workers):
    dataset = Pictures([(32, 32)] * 9, broken=[4])
    loader = Loader(dataset, [Mosaic((32, 32), scale=(4, 4))], 1, workers=workers)
    assert not any(4 in values for values in values_of(loader))
    assert loader.skipped == {"4": "4.jpg: JPEG truncated after 3 bytes"}


def test_an_image_is_mixed_with_itself_if_no_other_can_be_read():
    dataset = Pictures([(32, 32)] * 2000, broken=range(1, 2000))
    loader = Loader(dataset, [Mosaic((32, 32), scale=(4, 4))], 1, bad_images="100%")
    assert values_of(loader) == [{0}]


def test_masks_are_read_for_copy_paste_and_then_dropped():
    batches = list(Loader(Shapes(4), [CopyPaste(share=1)], 2).batches(0))
    assert all(batch.masks is None for batch in batches)
    with_masks = list(Loader(Shapes(4), [CopyPaste(share=1)], 2, masks=True).batches(0))
    for one, other in zip(batches, with_masks):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        for mask, box in zip(other.masks[0], other.boxes[0]):
            x, y, width, height = cv2.boundingRect(mask)
            np.testing.assert_allclose(box, [x, y, x + width, y + height], atol=1)
    one_class = next(Loader(OneClass(Shapes(4)), [CopyPaste()], 4).batches(0))
    assert set(one_class.labels.ravel()) <= {0, -1}


def test_copy_paste_without_masks_is_refused():
    with pytest.raises(DataError, match="masks, which CopyPaste needs, .* leave CopyPaste out"):
        next(Loader(Pictures([(32, 32)]), [CopyPaste()], 1).batches(0))
    with pytest.raises(DataError, match="image 1: expected masks"):
        CopyPaste()(block(0, (9, 9), (0, 0, 5, 5), 1, masks=False), rng(), draws())


# --- The config -----------------------------------------------------------------------------------

CHAIN = """[{type: Mosaic, size: [64, 64]}, {type: MixUp}, {type: CopyPaste}, {type: ScaleJitter},
{type: RandomCrop}, {type: Expand}, {type: Affine}, {type: Cutout}, {type: Blur}, {type: Noise},
{type: JPEG, quality: [20, 80]}, {type: Greyscale}]"""


def config_with(split, transforms):
    overrides = [f"data.{split}_transforms={transforms}"]
    return load_config(tiny.ROOT / "configs/faster_rcnn_vgg16.yaml", overrides)


def test_a_config_names_them():
    built = build_transforms(config_with("train", CHAIN.replace("\n", " ")), "train")
    assert [type(each).__name__ for each in built][:3] == ["Mosaic", "MixUp", "CopyPaste"]
    assert len(built) == 12 and built[0].size == (64, 64) and built[10].quality == (20, 80)


@pytest.mark.parametrize(
    ("split", "transform", "message"),
    [
        ("train", "{type: Mosaic, sise: 4}", "data.train_transforms.0.sise: unknown key"),
        ("train", "{type: Mosaic, size: 4}", "data.train_transforms.0.size: expected a list"),
        ("train", "{type: Mosaic, size: [1, 9]}", "data.train_transforms.0.size: .* 2 to"),
        ("train", "{type: Mosaic, junction: [0, 2]}", r"train_transforms.0.junction: .*\[0, 1\]"),
        ("train", "{type: MixUp, alpha: 0}", r"train_transforms.0.alpha: .*\[0.001, 1000\]"),
        ("train", "{type: CopyPaste, share: 2}", r"train_transforms.0.share: .*\[0, 1\]"),
        ("train", "{type: JPEG, quality: [1.5, 9]}", "train_transforms.0.quality: expected a list"),
        ("val", "{type: Mosaic}", "data.val_transforms.0: .* mix images, .* 'Mosaic'; move it"),
        ("val", "{type: ScaleJitter}", "data.val_transforms.0: .* 'ScaleJitter'; move it"),
    ],
)
def test_a_config_is_told_where_it_is_wrong(split, transform, message):
    with pytest.raises(ConfigError, match=message):
        build_transforms(config_with(split, f"[{transform}]"), split)
