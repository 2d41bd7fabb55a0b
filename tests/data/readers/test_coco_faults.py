"""The faults that the COCO reader leaves out, drops and refuses, and its words on each."""

import pytest

from detkit.data import COCO
from detkit.errors import DataError
from support.coco_tree import Tree, thing


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bbox": [10, 10, 0, 10]}, '"cat": box 10 10 0 10 has no area'),
        ({"bbox": [10, 10, 5, -1]}, '"cat": box 10 10 5 -1 has no area'),
        ({"bbox": [60, 1, 9, 9]}, "60 x 40 pixels"),
        ({"bbox": [1, -9, 9, 9]}, "lies outside"),
        ({"bbox": [float("nan"), 1, 9, 9]}, "box nan 1 9 9 is not finite"),
        ({"segmentation": [[1, 1, 9, 9]]}, "three corners"),
    ],
)
def test_unusable_objects_are_dropped_and_recorded(tree, changes, reason):
    dataset = tree.read(thing(image=2, **changes), thing())
    (dropped,) = dataset.dropped
    assert dropped[0] == 2
    assert reason in dropped[1]
    assert len(dataset.annotation(1).boxes) == len(dataset.masks(1)) == 0


def test_images_that_are_no_whole_image_are_left_out(tree):
    whole = (tree.folder / "2.jpg").read_bytes()
    (tree.folder / "2.jpg").write_bytes(whole[:-9])
    dataset = tree.read(thing(), thing(image=2))
    assert len(dataset) == 1
    ((image_id, reason),) = dataset.bad_images
    assert image_id == 2
    assert "truncated" in reason


@pytest.mark.parametrize(
    ("entry", "fragments"),
    [
        (thing(category="cat"), ["annotations[1].category_id: ", "int, found 'cat'"]),
        ({"image_id": 1, "category_id": 7}, ["annotations[1].bbox: ", "list, found nothing"]),
        (thing((1, 2, 3)), ["annotations[1].bbox: ", "x, y, width, height", "found [1, 2, 3]"]),
        (thing((1, 2, 3, "4")), ["annotations[1].bbox: ", "numbers", "'4'"]),
        (thing((1, 2, 3, 10**400)), ["annotations[1].bbox: ", "numbers"]),
    ],
)
def test_the_image_of_a_malformed_annotation_is_left_out(tree, entry, fragments):
    entry = {"image_id": 1, **entry}
    dataset = tree.read(thing(), entry, thing((9, 9, 0, 0)), thing(image=2))
    assert [dataset.annotation(i).image_id for i in range(len(dataset))] == [2]
    assert dataset.dropped == []
    ((image_id, reason),) = dataset.bad_images
    assert image_id == 1
    for fragment in (str(tree.file), *fragments):
        assert fragment in reason


@pytest.mark.parametrize(
    ("entry", "image_id", "fragments"),
    [
        (3, "annotations[1]", ["annotations[1]: ", "an object", "found int"]),
        (thing(image=5), "annotations[1]", ["annotations[1].image_id: ", "found 5"]),
        (thing(image="1"), "annotations[1]", ["annotations[1].image_id: ", "found '1'"]),
        (thing(image=[1]), "annotations[1]", ["].image_id: ", "int or str, found [1]"]),
        (thing(category=8), 1, ["annotations[1]: ", "category_id: ", "found 8"]),
        (thing(segmentation=3), 1, ['annotations[1]: "cat": segmentation: ', "found int"]),
        (
            thing(segmentation={"size": [40, 60], "counts": [9]}),
            1,
            ["annotations[1]: ", "segmentation: ", "40 x 60 pixels", "found [9]"],
        ),
    ],
)
def test_an_object_of_no_image_or_category_or_outline_is_dropped(tree, entry, image_id, fragments):
    dataset = tree.read(thing(), entry)
    assert len(dataset) == 2 and len(dataset.annotation(0).boxes) == 1
    ((found, reason),) = dataset.dropped
    assert found == image_id and dataset.bad_images == []
    for fragment in (str(tree.file), *fragments):
        assert fragment in reason


def test_all_faults_are_listed_at_once(tree):
    changes = [{}, {}, {"width": 0}, {"file_name": "../x.jpg"}, {"id": None}, {}]
    changes.append({"file_name": "a\0.jpg"})
    entries = [
        {"id": number, "file_name": f"{number}.jpg", "width": 60, "height": 40, **change}
        for number, change in enumerate(changes, 1)
    ]
    boxes = [thing(image=1, bbox=3), thing(image=1, bbox=None), thing(image=2), thing(image=3)]
    dataset = tree.read(*boxes, images=entries)
    assert [dataset.annotation(i).image_id for i in range(len(dataset))] == [2]
    bad = dict(dataset.bad_images)
    assert list(bad) == [3, 4, "images[4]", 1, 6, 7] and dataset.dropped == []
    for image_id, says in (
        (3, "images[2]: expected sides"),
        (4, "images[3].file_name: "),
        ("images[4]", "images[4].id: "),
        (1, "annotations[1].bbox: expected list"),
        (6, "6.jpg: no such file"),
        (7, "a\0.jpg: no such file"),
    ):
        assert says in bad[image_id]


def test_a_folder_that_is_not_there_is_said(tree, tmp_path, monkeypatch):
    tree.read()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"images: .*found none at image.*{tmp_path}.*'images'"):
        COCO(str(tree.file), "image")
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=f"the 2 images of .*none of them in other .*{tmp_path}"):
        COCO(str(tree.file), "other")


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"categories": []}, ["categories: ", "found none"]),
        ({"categories": [{"id": 7}]}, ["categories[0].name: ", "str, found nothing"]),
        (
            {"categories": [{"id": 7, "name": "cat"}, {"id": 7, "name": "owl"}]},
            ["categories[1]: ", "id 7", "name 'owl'"],
        ),
        ({"images": None}, ["images, annotations", "categories", "found keys "]),
        (
            {"images": [{"id": 1, "file_name": "1.jpg", "width": 0, "height": 40}]},
            ["images[0]: ", "100000000 pixels", "found 0 x 40"],
        ),
        (
            {"images": [{"id": 1, "file_name": "1.jpg", "width": 60, "height": 40}] * 2},
            ["images[1].id: ", "found 1"],
        ),
        (
            {"images": [{"id": 1, "file_name": "7.jpg", "width": 60, "height": 40}]},
            ["the 1 images", "none of them", "7.jpg"],
        ),
    ],
)
def test_malformed_images_and_categories_are_named(tree, changes, fragments):
    refused = tree.refused(**changes)
    for fragment in fragments:
        assert fragment in refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n"images": [,]}', ":2: malformed JSON"),
        ("[]", "found no object"),
        ("[" * 100000, "a JSON file"),
    ],
)
def test_what_is_no_such_file_is_said(tree, text, message):
    tree.file.write_text(text)
    with pytest.raises(DataError) as caught:
        COCO(str(tree.file), str(tree.folder))
    assert message in str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(DataError, match="none.json: .*No such file"):
        COCO(str(tmp_path / "none.json"), str(tmp_path))
