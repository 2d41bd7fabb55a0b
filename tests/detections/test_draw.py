"""Pictures: what is drawn, where labels go, and errors of files."""

import cv2
import numpy as np
import pytest

from detkit.detections import Detections
from detkit.detections.draw import colour_of, contact_sheet, draw_detections, save_image
from detkit.errors import DataError

NAMES = ("cat", "dog")
GREY = np.full((200, 300, 3), 128, np.uint8)


class Truth:
    boxes = np.array([[20, 20, 120, 120]], np.float32)


def detected(*rows):
    return Detections(
        np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        np.array([r[1] for r in rows], np.float32),
        np.array([r[2] for r in rows], np.int32),
        NAMES,
    )


def has(image, colour):
    return (image == colour).all(-1)


def ink(image):
    """Pixels of black text, softened or not: the ground is grey and cat's red channel is full."""
    return np.count_nonzero(image[..., 0] < 120)


def test_boxes_are_drawn_in_the_colour_of_their_class_into_a_copy():
    image = GREY.copy()
    drawn = draw_detections(image, detected(((50, 60, 150, 160), 0.9, 1)))
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(image, GREY)
    for x, y in ((50, 110), (150, 110), (100, 160), (100, 60)):
        assert tuple(drawn[y, x]) == colour_of(1)
    np.testing.assert_array_equal(drawn[80:140, 70:130], GREY[80:140, 70:130])


def test_only_scores_from_the_floor_on_are_drawn():
    detections = detected(((50, 60, 150, 160), 0.5, 0), ((10, 10, 20, 20), 0.49, 1))
    drawn = draw_detections(GREY, detections)
    assert has(drawn, colour_of(0)).any()
    assert not has(drawn, colour_of(1)).any()
    assert has(draw_detections(GREY, detections, score_floor=0.1), colour_of(1)).any()


def test_without_detections_the_image_is_unchanged():
    np.testing.assert_array_equal(draw_detections(GREY, detected()), GREY)


@pytest.mark.parametrize("box", [(0, 0, 300, 200), (-40, -9, 20, 20), (280, 150, 420, 260)])
def test_the_label_stays_inside_and_its_text_is_whole(box):
    """A label at the border has as much ink on as much ground as one in the middle."""
    middle = draw_detections(GREY, detected(((100, 80, 102, 160), 0.75, 0)))
    at_border = draw_detections(GREY, detected((box, 0.75, 0)))
    assert ink(middle) > 100
    assert ink(at_border) == ink(middle)


def test_labels_of_neighbours_do_not_cover_each_other():
    one = draw_detections(GREY, detected(((100, 80, 180, 160), 0.9, 0)))
    two = draw_detections(
        GREY, detected(((100, 80, 180, 160), 0.9, 0), ((102, 82, 182, 162), 0.8, 0))
    )
    assert ink(two) > 1.8 * ink(one)


def test_the_best_detection_lies_on_top_in_any_order():
    rows = [((50, 60, 150, 160), 0.9, 0), ((50, 60, 150, 160), 0.6, 1)]
    first, second = (draw_detections(GREY, detected(*order)) for order in (rows, rows[::-1]))
    assert tuple(first[110, 150]) == colour_of(0)
    np.testing.assert_array_equal(first, second)


def test_the_truth_is_drawn_dashed_in_black_and_white():
    drawn = draw_detections(GREY, detected(), truth=Truth())
    side = drawn[20, 25:115]
    assert has(side, (255, 255, 255)).any()
    assert has(side, (0, 0, 0)).any()


def test_scale_enlarges_the_picture_and_the_boxes():
    small = GREY[:40, :60]
    drawn = draw_detections(small, detected(((10, 10, 50, 35), 0.9, 0)), scale=5)
    assert drawn.shape == (200, 300, 3)
    assert tuple(drawn[100, 50]) == tuple(drawn[100, 250]) == colour_of(0)


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (24, 24), (1200, 1600)])
def test_any_size_can_be_drawn(size):
    image = np.zeros((*size, 3), np.uint8)
    box = (0.2 * size[1], 0.2 * size[0], 0.8 * size[1], 0.8 * size[0])
    drawn = draw_detections(image, detected((box, 0.9, 0)))
    assert drawn.shape == image.shape
    assert drawn.any()


def test_lines_grow_with_the_image():
    widths = []
    for side in (200, 2000):
        image = np.full((side, side, 3), 128, np.uint8)
        box = (0.3 * side, 0.3 * side, 0.7 * side, 0.7 * side)
        row = draw_detections(image, detected((box, 0.9, 0)))[side // 2, : side // 2]
        widths.append(has(row, colour_of(0)).sum())
    assert widths[0] in (1, 2)
    assert widths[1] in range(6, 11)


def test_floats_are_rounded_and_clipped():
    image = np.array([[[-3.0, 99.6, 300.0]]])
    np.testing.assert_array_equal(draw_detections(image, detected()), [[[0, 100, 255]]])


@pytest.mark.parametrize(
    ("image", "scale", "expected"),
    [
        (np.zeros((4, 4), np.uint8), 1, "found uint8 (4, 4)"),
        (np.zeros((3, 4, 4), np.float32), 1, "(H, W, 3)"),
        (np.zeros((0, 4, 3), np.uint8), 1, "(H, W, 3)"),
        (GREY, 0, "above 0, found 0"),
    ],
)
def test_what_is_no_image_is_refused(image, scale, expected):
    with pytest.raises(DataError) as caught:
        draw_detections(image, detected(), scale=scale)
    assert expected in str(caught.value)


def test_colours_are_fixed_valid_and_apart():
    colours = np.array([colour_of(k) for k in range(100)])
    assert colours.min() >= 0
    assert colours.max() <= 255
    assert len({tuple(c) for c in colours}) == 100
    lab = cv2.cvtColor((colours[None] / 255).astype(np.float32), cv2.COLOR_RGB2Lab)[0]
    apart = np.linalg.norm(lab[:8, None] - lab[None, :8], axis=-1)[np.triu_indices(8, 1)]
    assert apart.min() > 20
    assert colour_of(0) == tuple(colours[0])


def test_a_contact_sheet_places_images_row_by_row():
    images = [np.full((20, 30, 3), shade, np.uint8) for shade in (10, 20, 30)]
    sheet = contact_sheet(images, columns=2, gap=4)
    assert sheet.shape == (44, 64, 3)
    assert (sheet[:20, :30] == 10).all()
    assert (sheet[:20, 34:] == 20).all()
    assert (sheet[24:, :30] == 30).all()
    assert (sheet[24:, 34:] == 255).all()
    assert (sheet[20:24] == 255).all()


def test_a_contact_sheet_fits_images_into_its_cells():
    tall = np.zeros((80, 40, 3), np.uint8)
    sheet = contact_sheet([tall], columns=3, cell=(40, 40))
    assert sheet.shape == (40, 40, 3)
    assert (sheet[:, 10:30] == 0).all()
    assert (sheet[:, :10] == 255).all()
    with pytest.raises(DataError, match="found 0 images"):
        contact_sheet([], columns=3)


@pytest.mark.parametrize("extension", [".png", ".PNG", ".jpg", ".webp", ".bmp"])
def test_saved_images_are_rgb(tmp_path, extension):
    path = tmp_path / f"picture{extension}"
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 250
    save_image(path, image)
    again = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    np.testing.assert_allclose(again, image, atol=12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("picture.xyz", ".bmp, found '.xyz'"),
        ("picture", ".bmp, found ''"),
        ("no/folder.png", "No such file"),
        ("taken.png", "Is a directory"),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path, name, expected):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(DataError) as caught:
        save_image(tmp_path / name, GREY)
    assert str(tmp_path / name) in str(caught.value)
    assert expected in str(caught.value)
