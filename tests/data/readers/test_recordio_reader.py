"""The reader of record files: what it shares with COCO, and files that are malformed."""

import json

import numpy as np
import pytest

from detkit.data import COCO, Loader, RecordIO
from detkit.data.recognise import recognise
from detkit.data.writers import write_coco, write_recordio
from detkit.errors import DataError, ImageError
from support.layouts import Malformed, check, make

REC, IDX, FILE = "all.rec", "all.idx", "all.json"


def read_it(folder):
    return RecordIO(str(folder / REC))


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "packed", "recordio")


@pytest.fixture
def coco(tmp_path):
    folder = make(tmp_path / "coco", "coco")
    return COCO(str(folder / "annotations/instances_train.json"), str(folder / "images"))


def assert_same(one, other):
    assert (one.class_names, one.category_ids) == (other.class_names, other.category_ids)
    assert len(one) == len(other)
    for index in range(len(one)):
        first, second = one.annotation(index), other.annotation(index)
        assert first[:3] == second[:3]
        for ours, theirs in zip(first[3:], second[3:]):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(one.image(index), other.image(index))


def test_packed_images_are_those_of_coco(tmp_path, coco):
    written = write_recordio({"train": coco, "val": coco}, tmp_path / "out")
    assert (written.images, written.objects) == (6, 6)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{split}.{suffix}" for split in ("train", "val") for suffix in ("idx", "json", "rec")
    ]
    found = recognise(tmp_path / "out")
    assert (found.layout, list(found.splits)) == ("recordio", ["train", "val"])
    packed = RecordIO(str(tmp_path / "out/val.rec"))
    assert_same(packed, coco)
    # And back: the files are the same to the byte.
    write_coco({"train": packed}, tmp_path / "again")
    for index in range(len(coco)):
        source = coco.image_path(index)
        assert (tmp_path / "again/images/train" / source.name).read_bytes() == source.read_bytes()


def test_parts_and_lists_of_images_are_those_of_coco(tmp_path, folder, coco):
    listed = tmp_path / "list.txt"
    listed.write_text("c.jpg\na.jpg\n")
    packed = RecordIO(str(folder / REC), image_list=str(listed))
    assert [packed.image_name(index) for index in range(len(packed))] == ["a.jpg", "c.jpg"]
    file, images = (
        str(coco.image_path(0).parents[1] / "annotations/instances_train.json"),
        str(coco.image_path(0).parent),
    )
    for part in ([0, 0.5], [0.5, 1]):
        arguments = {"image_part": part, "class_names": ["dog"]}
        try:
            expected = COCO(file, images, **arguments)
        except DataError:
            with pytest.raises(DataError):
                RecordIO(str(folder / REC), **arguments)
            continue
        assert_same(RecordIO(str(folder / REC), **arguments), expected)


@pytest.mark.parametrize("workers", [0, 4])
def test_a_loader_reads_records(folder, coco, workers):
    loaders = [
        Loader(each, (), 2, shuffle=True, workers=workers) for each in (read_it(folder), coco)
    ]
    for one, other in zip(*(loader.batches(epoch=1) for loader in loaders)):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_links_cannot_be_packed(tmp_path, coco):
    with pytest.raises(DataError, match="expected copy, .* found hardlink"):
        write_recordio({"train": coco}, tmp_path / "out", "hardlink")
    assert not (tmp_path / "out").exists()


def changed(*rest):
    return Malformed(FILE, *rest)


MALFORMED = [
    changed(None, None, "refused", ("all.json",)),
    changed(None, "", "refused", ("all.json:1: malformed JSON",)),
    changed(None, "[]", "refused", ("all.json: ", "lists images, annotations")),
    changed('"record": 1', '"record": 7', "bad", ("images[1].record", "7", "b.jpg"), (2, 2)),
    changed('"record": 1', '"record": -1', "bad", ("images[1].record", "found -1"), (2, 2)),
    changed('"record": 1', '"record": "1"', "bad", ("images[1].record", "None"), (2, 2)),
    changed('"record": 1', '"record": true', "bad", ("images[1].record", "None"), (2, 2)),
    changed(', "record": 1', "", "bad", ("images[1].record", "None"), (2, 2)),
    changed('"width": 60', '"width": -1', "bad", ("images[0]", "-1 x 40"), (2, 1)),
    changed('"width": 60', '"width": 1000000000', "bad", ("images[0]", "pixels"), (2, 1)),
    changed('"bbox": [20, 10, 20, 20]', '"bbox": [20, 10, 0, 20]', "dropped", ("no area",), (3, 2)),
    changed('"image_id": 2', '"image_id": 9', "dropped", ("annotations[2].image_id", "9"), (3, 2)),
    Malformed(IDX, None, None, "refused", ("all.idx: expected a file",)),
    Malformed(IDX, None, "", "refused", ("all.json: ", "the key record", "all.rec")),
    Malformed(IDX, None, b"\xff\xfe\0", "refused", ("all.idx:1: ",)),
    Malformed(IDX, "0\t0", "0\t-4", "refused", ("all.idx:1: ", "an offset")),
    Malformed(IDX, "0\t0", "0\t99999999", "refused", ("all.idx:1: ", "99999999")),
    Malformed(IDX, "0\t0", "0\t1", "bad", ("all.rec: record 0: ", "a.jpg", "byte 1"), (2, 1)),
    Malformed(IDX, "1\t", "0\t", "refused", ("all.idx:2: ", "no other line")),
    Malformed(REC, None, None, "refused", ("all.rec: expected a file",)),
    Malformed(REC, None, "", "refused", ("all.idx:1: ", "0 bytes")),
]


@pytest.mark.parametrize("case", MALFORMED, ids=str)
def test_malformed_files(folder, case):
    check(case, folder, read_it)


# What takes the place of bytes of the record of b.jpg, counted from its beginning.
DAMAGED = [
    (0, b"\0\0", "expected the number 0xced7230a"),
    (4, b"\xff\xff\xff\x1f", "536870911 bytes"),
    (4, b"\0\0\0\xa0", "kind 5"),
    (4, b"\x10\0\0\0", "at least 24 bytes, found 16"),
    (8, b"\xff\xff", "a label of 65535 numbers"),
    (16, b"\2", "the id 1 in its header, found 2"),
    (32, b"MZ", "bytes that begin with"),
]


@pytest.mark.parametrize(("place", "new", "says"), DAMAGED)
def test_a_damaged_record_is_a_bad_image_and_the_others_are_read(folder, place, new, says):
    data = bytearray((folder / REC).read_bytes())
    place += int((folder / IDX).read_text().splitlines()[1].split()[1])
    data[place : place + len(new)] = new
    (folder / REC).write_bytes(bytes(data))
    dataset = read_it(folder)
    ((image_id, reason),) = dataset.bad_images
    assert image_id == 2
    assert f"{folder / REC}: record 1" in reason
    assert says in reason
    assert "b.jpg" in reason
    assert [dataset.annotation(index).image_id for index in range(2)] == [1, 3]


def test_a_truncated_file_leaves_out_what_is_missing(folder):
    data = (folder / REC).read_bytes()
    (folder / REC).write_bytes(data[:-9])
    ((image_id, reason),) = read_it(folder).bad_images
    assert image_id == 3
    assert "truncated" in reason


def test_an_image_that_is_damaged_inside_its_record_is_found_when_it_is_decoded(folder):
    start = [int(line.split()[1]) for line in (folder / IDX).read_text().splitlines()]
    data = bytearray((folder / REC).read_bytes())
    data[start[2] - 12 : start[2]] = bytes(12)  # the end of b.jpg
    (folder / REC).write_bytes(bytes(data))
    dataset = read_it(folder)
    assert dataset.bad_images == []
    with pytest.raises(ImageError, match=r"all.rec: record 1 .image 'b.jpg'.: .* truncated"):
        dataset.image(1)
    loader = Loader(dataset, (), 1, bad_images="50%")
    assert [batch.image_ids for batch in loader.batches(epoch=0)] == [(1,), (3,)]
    assert list(loader.skipped) == [2]


def test_another_file_of_annotations_can_be_named(folder, tmp_path):
    content = json.loads((folder / FILE).read_text())
    content["images"] = content["images"][1:]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] != 1]
    other = tmp_path / "fewer.json"
    other.write_text(json.dumps(content))
    dataset = RecordIO(str(folder / REC), str(other))
    np.testing.assert_array_equal(dataset.image(0), read_it(folder).image(1))
