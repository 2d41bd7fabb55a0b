"""``detkit browse``: its files, what it counts, and that names from strangers stay text."""

import base64
import hashlib
import html.parser
import json
import re

import cv2
import numpy as np
import pytest

from detkit import cli
from detkit.build import build_dataset, build_loader, open_config
from detkit.commands import line
from detkit.data.images import decode_image
from detkit.data.pictures import truth_picture
from detkit.data.sample import Sample
from support import tiny
from support.projects import fast_rcnn

HOSTILE = "</script><script>alert('1')</script><img src=x onerror=\"alert(2)\">&"


class Tags(html.parser.HTMLParser):
    """The tags of a page with their attributes, and the text in them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def of(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture
def browse(tmp_path, capsys):
    """A function from arguments to the page, the folder and what is said."""

    def call(*arguments, out=tmp_path / "out", status=0):
        words = ["browse", *map(str, arguments), "--out", str(out)]
        assert cli.run(line.main, words) == status
        said = capsys.readouterr()
        if status:
            return said.err
        return Tags((out / "index.html").read_text()), out, said.out

    return call


def coco(folder, names):
    """A file of COCO's with an object of each class in one image; a second image is empty."""
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.full((40, 60, 3), 90, np.uint8))
    images = [{"id": n, "file_name": f"{'ab'[n]}.png", "width": 60, "height": 40} for n in (0, 1)]
    boxes = [
        {"id": n, "image_id": 0, "category_id": n, "bbox": [n, 0, 10 + 2 * n, 20]}
        for n in range(len(names))
    ]
    categories = [{"id": n, "name": name} for n, name in enumerate(names)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content))
    return folder


def test_the_page_counts_and_shows_the_data(config, browse):
    page, out, said = browse(config, "--count", 5)
    dataset = build_dataset(open_config(config), "train")
    annotations = [dataset.annotation(index) for index in range(len(dataset))]
    cells = [each["data-value"] for each in page.of("td")]
    rows = {cells[start]: cells[start + 1 :][:2] for start in range(0, len(cells), 6)}
    for label, name in enumerate(dataset.class_names):
        counts = [int((one.labels == label).sum()) for one in annotations]
        assert rows[name] == [str(sum(counts)), str(np.count_nonzero(counts))]
    figures = page.of("figure")
    shown = [set(map(int, each["data-labels"].split())) for each in figures]
    assert shown == [set(one.labels.tolist()) for one in annotations[:5]]
    for image in page.of("img"):
        picture = decode_image(out / image["src"])
        assert picture.shape[:2] == (int(image["height"]), int(image["width"]))
    assert decode_image(out / "sheet-001.jpg").ndim == 3
    assert f"5 of 12 images, 1 sheet: {out / 'index.html'}" in said
    # Each object of the table's first class can be chosen; the script has numbers alone.
    assert [each["value"] for each in page.of("option")] == ["", *map(str, range(6))]


def test_a_seed_chooses_and_a_second_call_replaces_the_first(config, browse):
    browse(config)
    page, out, _ = browse(config, "--count", 3, "--seed", 4)
    captions = [text for text in page.text if text.startswith("shapes-")]
    expected = sorted(np.random.default_rng(4).permutation(12)[:3])
    assert [text.split(":")[0] for text in captions] == [f"shapes-1-{n:06d}" for n in expected]
    assert len(list(out.glob("pictures/*.jpg"))) == 3


@pytest.mark.parametrize(
    "changes", [[], ["data.train_transforms=[{type: Mosaic, size: [64, 96], visible: 0}]"]]
)
def test_what_training_sees_is_drawn(config, browse, changes):
    """The pixels of the Loader's first epoch, in which images are mirrored or mixed at random."""
    _, out, _ = browse(
        config, "--transforms", "--count", 12, *(["--set", *changes] * bool(changes))
    )
    opened = open_config(config, changes)
    dataset = build_dataset(opened, "train")
    loader = build_loader(opened, "train", dataset, 1, ("masks", "keypoints"))
    for batch in loader.batches(epoch=0):
        count, (index,) = int((batch.labels[0] >= 0).sum()), batch.indices
        height, width = batch.sizes[0].astype(int)
        sample = Sample(
            batch.image_ids[0],
            batch.images[0].transpose(1, 2, 0)[:height, :width],
            batch.boxes[0, :count],
            batch.labels[0, :count].astype(int),
            np.zeros(count, bool),
            batch.masks[0, :count, :height, :width],
        )
        drawn = decode_image(out / f"pictures/{index + 1:05d}.jpg").astype(int)
        away = np.abs(drawn - truth_picture(sample, dataset.class_names)).mean()
        assert away < 6, index  # JPEG, and the keypoints
        mirrored = np.abs(drawn[:, ::-1] - truth_picture(sample, dataset.class_names)).mean()
        assert mirrored > away


def inputs_of(out):
    """The data of the page of the network's inputs."""
    text = (out / "inputs.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found.group(1))


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_config_has_a_page_of_the_network_s_inputs(config, browse, split):
    resize = "data.val_transforms=[{type: Resize, short: 96, long: 96}]"
    page, out, said = browse(config, "--limit", 3, "--split", split, "--set", resize)
    assert "inputs.html" in [each["href"] for each in page.of("a")]
    assert str(out / "inputs.html") in said
    data = inputs_of(out)
    opened = open_config(config, [resize])
    dataset = build_dataset(opened, split)
    inputs = () if split == "train" else None
    loader = build_loader(opened, split, dataset, 1, inputs)
    batches = {batch.image_ids[0]: batch for batch in loader.batches(epoch=0)}
    assert data["has_anchors"]
    assert len(data["images"]) == 3
    for image in data["images"]:
        batch = batches[image["id"]]
        assert [image["height"], image["width"]] == batch.sizes[0].tolist()
        boxes = batch.boxes[0][batch.labels[0] >= 0]
        found = [one["box"] for one in image["objects"]]
        np.testing.assert_allclose(np.reshape(found, (-1, 4)), boxes, atol=0.051)
        assert all(one["positives"] == len(one["anchors"]) for one in image["objects"])
        assert any(one["positives"] for one in image["objects"])


def test_the_page_leaves_out_what_the_training_does(browse, config):
    half_empty = ("--set", "data.train.empty=0.5")
    for rule, least in (("null", 0), ("objects", 1)):
        _, out, _ = browse(config, "--count", 12, *half_empty, f"data.filter={rule}")
        assert min(len(image["objects"]) for image in inputs_of(out)["images"]) == least


def test_a_detector_without_anchors_has_the_page_too(browse, config, tmp_path):
    _, out, _ = browse(config, "--count", 2, "--set", *fast_rcnn(tmp_path, config))
    data = inputs_of(out)
    assert not data["has_anchors"]
    assert "anchors" not in data["images"][0]["objects"][0]


def test_a_folder_of_data_and_hostile_names(browse, tmp_path):
    page, out, _ = browse(coco(tmp_path / "data", [HOSTILE, "cat"]))
    assert not (out / "inputs.html").exists()  # no network is known
    assert HOSTILE in [each["data-value"] for each in page.of("td") if "<" in each["data-value"]]
    assert len(page.of("script")) == 1
    assert {each["src"] for each in page.of("img")} == {"pictures/00001.jpg", "pictures/00002.jpg"}
    assert not any(name.startswith("on") for _, each in page.tags for name in each)
    text = (out / "index.html").read_text()
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (rules,) = [each["content"] for each in page.of("meta") if "http-equiv" in each]
    tiny.assert_says(rules, "default-src 'none'", f"script-src 'sha256-{digest}'")
    assert "https:" not in text
    assert "http:" not in text


def test_what_cannot_be_browsed_is_refused(config, browse, tmp_path):
    data = coco(tmp_path / "data", ["cat"])
    tiny.assert_says(browse(data, "--transforms", status=1), "--transforms", "a config", str(data))
    error = browse(config, out=data, status=1)
    tiny.assert_says(error, f"--out {data}", "expected a new folder")
    for name in ("a.png", "b.png"):
        whole = (data / name).read_bytes()
        (data / name).write_bytes(whole[:50] + b"\0" * 30 + whole[80:])
    error = browse(data, status=1)
    tiny.assert_says(error, "skipped:", "a.png", "b.png", "expected an image that can be read")
