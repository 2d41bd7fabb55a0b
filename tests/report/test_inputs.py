"""The page of the network's inputs: what it holds, and its keys in headless Chromium."""

import base64
import json
import re

import cv2
import numpy as np
import pytest

from detkit.data.keypoints import Keypoints
from detkit.data.sample import Sample
from detkit.report.inputs import LONGEST, MOST_ANCHORS, inputs_page, packed_input
from detkit.train_steps.matched_anchors import MatchedAnchors
from support.browser import open_browser

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">"
NAMES = ("cat", HOSTILE, "dog")


def sample_of(name, labels, ignored=(), size=(60, 80)):
    """A Sample of objects side by side, 20 pixels wide, with masks and keypoints."""
    count = len(labels)
    boxes = np.array([[5 + 25 * n, 10, 25 + 25 * n, 40] for n in range(count)], np.float32)
    masks = np.zeros((count, *size), np.uint8)
    points = np.zeros((count, 2, 3), np.float32)
    for n, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        masks[n, y1:y2, x1:x2] = 1
        masks[n, y1 + 10 : y2 - 10, x1 + 5 : x2 - 5] = 0  # a hole
        points[n] = [[x1 + 3, y1 + 4, 2], [x1 + 8, y1 + 9, n % 3]]
    return Sample(
        name,
        np.full((*size, 3), 120, np.uint8),
        boxes.reshape(-1, 4),
        np.array(labels, np.int32),
        np.isin(np.arange(count), ignored),
        masks,
        fields={"keypoints": Keypoints(points, ((0, 1), (0, 1)))},
    )


def matched_of(sample, counts, best):
    """``counts`` anchors of each object, each a pixel beside the one before."""
    objects = np.repeat(np.arange(len(counts)), counts)
    shift = np.concatenate([np.arange(count) for count in counts] or [np.zeros(0)])
    boxes = sample.boxes[objects] + shift[:, None].astype(np.float32)
    iou = (0.9 - 0.01 * shift).astype(np.float32)
    return MatchedAnchors(boxes, objects, objects % 2, iou, np.array(best, np.float32))


@pytest.fixture(scope="module")
def images():
    """Three images: two objects and an ignored one; an object without an anchor; none."""
    first, second, empty = sample_of("a", [0, 1, 0], [2]), sample_of("b", [2]), sample_of("c", [])
    return [
        packed_input(first, matched_of(first, [2, 30, 0], [0.9, 0.8, 0.1])),
        packed_input(second, matched_of(second, [0], [0.3])),
        packed_input(empty, matched_of(empty, [], [])),
    ]


def test_an_image_is_packed(images):
    first = images[0]
    assert (first["id"], first["width"], first["height"]) == ("a", 80, 60)
    cat, hostile, ignored = first["objects"]
    assert cat["box"] == [5, 10, 25, 40]
    assert [one["ignored"] for one in first["objects"]] == [False, False, True]
    assert (cat["positives"], cat["best"], len(cat["anchors"])) == (2, 0.9, 2)
    assert (hostile["positives"], len(hostile["anchors"])) == (30, MOST_ANCHORS)
    scores = [one["iou"] for one in hostile["anchors"]]
    assert scores == sorted(scores, reverse=True)
    assert cat["points"] == [[8, 14, 2], [13, 19, 0]]
    # The outlines enclose the mask and leave out the hole: 20 x 30 without 10 x 10 pixels.
    drawn = np.zeros((600, 800), np.uint8)
    lines = [np.array(line).reshape(-1, 2) for line in cat["outlines"]]
    cv2.fillPoly(drawn, [np.rint(10 * line).astype(np.int32) for line in lines], 1)
    assert drawn.sum() / 100 == pytest.approx(500, rel=0.1)
    plain = packed_input(sample_of("a", [0])._replace(masks=None, fields={}), None)
    assert plain["objects"] == [
        {"box": [5, 10, 25, 40], "label": 0, "ignored": False, "outlines": [], "points": []}
    ]


def test_a_picture_is_bounded():
    image = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3)).astype(np.float32)
    sample = sample_of("large", [])._replace(image=image, masks=None)
    packed = packed_input(sample, None)
    assert (packed["width"], packed["height"]) == (2000, 1500)
    head = "data:image/jpeg;base64,"
    assert packed["picture"].startswith(head)
    data = np.frombuffer(base64.b64decode(packed["picture"][len(head) :]), np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (LONGEST * 3 // 4, LONGEST, 3)


def test_the_page_needs_no_other_file(images):
    text = inputs_page("title", NAMES, images, "about", 0.5, True)
    assert "http:" not in text
    assert "https:" not in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data.group(1))["class_names"] == list(NAMES)


@pytest.fixture(scope="module")
def browser():
    with open_browser() as one:
        yield one


@pytest.fixture
def page(browser, images, tmp_path):
    """A Browser that shows the page; at the end, nothing was written to the console."""
    path = tmp_path / "inputs.html"
    path.write_text(inputs_page("title", NAMES, images, "about", 0.5, True), encoding="utf-8")
    browser.open(path)
    yield browser
    assert browser.errors() == []


def place(page):
    return page.texts("#place")[0]


def count(page, selector):
    return page.run(f"return document.querySelectorAll('{selector}').length")


def test_keys_and_buttons_move(page):
    assert place(page) == "1 / 3"
    for keys, expected in (("j", 2), ("{right}", 3), ("j", 3), ("k", 2), ("{left}", 1), ("G", 3)):
        page.type("body", keys)
        assert place(page) == f"{expected} / 3"
    page.type("body", "g")
    page.click("#next")
    assert page.texts("#caption")[0].startswith("b: 80 x 60 pixels, 1 object")
    page.click("#previous")
    assert place(page) == "1 / 3"
    assert page.run("return document.getElementById('previous').disabled")


def test_layers(page):
    layers = {  # key: what is drawn of the first image
        "b": ("rect.line", 3, 1),  # an ignored region keeps its box
        "m": ("path.outline", 3, 0),
        "p": ("circle", 5, 0),
        "n": ("text", 3, 0),
        "a": (".anchor", 0, 2 + MOST_ANCHORS),
    }
    for key, (selector, before, after) in layers.items():
        selector = f"#overlay {selector}"
        assert count(page, selector) == before, key
        page.type("body", key)
        assert count(page, selector) == after, key
        page.type("body", key)
        assert count(page, selector) == before, key
    assert count(page, "#overlay .hatched") == 1
    page.click("#layer-ignored")
    assert count(page, "#overlay .hatched") == 0
    assert count(page, "#overlay g") == 2
    pressed = "return document.getElementById('layer-ignored').getAttribute('aria-pressed')"
    assert page.run(pressed) == "false"


def test_an_object_is_chosen_and_shows_its_anchors(page):
    page.type("body", "o")
    assert count(page, "#overlay .chosen") == 1
    assert count(page, "#overlay .anchor") == 2
    page.type("body", "O")
    page.type("body", "O")
    assert page.run("return document.querySelector('#overlay .chosen').dataset.index") == "1"
    page.click("#objects tbody tr:nth-child(1) button")
    assert page.run("return document.querySelector('#overlay .chosen').dataset.index") == "0"
    page.click("#overlay g[data-index='0'] .hit")
    assert count(page, "#overlay .chosen") == 0


def test_a_class_and_a_warning_filter(page):
    page.type("body", "ccc")
    assert place(page) == "1 / 1"
    assert page.texts("#caption")[0].startswith("b:")
    page.type("body", "x")
    assert place(page) == "2 / 3"  # the image stays
    page.type("body", "w")
    assert place(page) == "1 / 1"
    assert page.texts("#objects tbody tr")[0].split("\t")[-1].strip() == "⚠ no anchor"
    assert page.run("return document.querySelector('#overlay .warning').textContent") == "⚠ dog"
    page.type("body", "c")
    assert place(page) == "0 / 0"
    assert "No image" in page.texts("#nothing")[0]
    page.click("#unreached")
    assert place(page) == "1 / 1"
    page.type("body", "C")
    page.run(
        "const c = document.getElementById('class'); c.value = '1';"
        "c.dispatchEvent(new Event('change'))"
    )
    assert place(page) == "1 / 1"
    assert count(page, "#overlay .faded") == 2  # objects of other classes


def test_the_keys_are_listed(page):
    page.type("body", "?")
    assert page.run("return document.getElementById('keys').open")
    assert len(page.texts("#keys-list dt")) >= 14
    page.type("body", "j")  # no key but ? while the list is open
    assert place(page) == "1 / 3"
    page.type("body", "?")
    assert not page.run("return document.getElementById('keys').open")


def test_hostile_names_are_text_and_it_fits_a_telephone(page, tmp_path):
    assert page.run("return document.title") == "title"
    assert HOSTILE in page.run("return document.querySelector('#objects').innerText")
    assert count(page, "script") == 2
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = page.run(colour)
    page.type("body", "d")
    assert page.run(colour) != before
    page.save_screenshot(tmp_path / "small.png", 390, 800)
    assert page.run("return document.documentElement.scrollWidth") <= 390
    page.command("Emulation.clearDeviceMetricsOverride")


def test_without_anchors_nothing_is_said_of_them(page, tmp_path):
    path = tmp_path / "plain.html"
    path.write_text(
        inputs_page("title", NAMES, [packed_input(sample_of("a", [0]), None)], "", 0.5, False)
    )
    page.open(path)
    assert count(page, "#layer-anchors") == 0
    assert page.run("return document.getElementById('only-unreached').hidden")
    assert "anchor" not in page.texts("body")[0]
