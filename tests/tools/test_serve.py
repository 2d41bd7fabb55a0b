"""tools/serve/: the server over HTTP on loopback, and what wrong requests get."""

import importlib.util
import json
import sys

import cv2
import numpy as np
import pytest

from detkit.detections import Detections
from detkit.errors import DataError
from support import tiny

NEEDED = ("fastapi", "uvicorn")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
MOST_BYTES = 5000


class OneBox:
    """A detector that finds the whole image, with a score that its first pixel says."""

    class_names = ("cat",)
    threshold = None
    max_pixels = 10_000

    def detect(self, image, score):
        if not 0 <= score <= 1:
            raise DataError("score: expected a number from 0 to 1")
        height, width = image.shape[:2]
        scores = np.array([image[0, 0, 0] / 255], np.float32)
        boxes = np.array([[0, 0, width, height]], np.float32)
        found = Detections(boxes, scores, np.zeros(1, np.int32), self.class_names)
        return found[found.scores >= score]


@pytest.fixture
def rate(monkeypatch):
    """The module that measures the server."""
    monkeypatch.syspath_prepend(str(tiny.ROOT / "tools/serve"))
    for name in ("server", "rate"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("rate")


@pytest.fixture
def post(rate):
    """A function from bytes to the status and the JSON of the answer."""
    with rate.serving(rate.application(OneBox(), MOST_BYTES)) as port:

        def post(*request):
            status, text = rate.post(port, *request)
            return status, json.loads(text)

        yield post


def png(value, height=20, width=30):
    return cv2.imencode(".png", np.full((height, width, 3), value, np.uint8))[1].tobytes()


def test_an_image_gets_the_line_of_the_program(post):
    assert post(png(204)) == (
        200,
        {
            "path": "image",
            "height": 20,
            "width": 30,
            "detections": [
                {"box": [0, 0, 30, 20], "score": pytest.approx(0.8), "label": 0, "name": "cat"}
            ],
        },
    )
    assert post(png(102))[1]["detections"] == []  # below 0.5
    assert len(post(png(102), "?score=0.3")[1]["detections"]) == 1


def test_wrong_requests_get_a_status_and_a_message(post):
    for data in (b"", b"no image", png(9)[:60]):
        status, said = post(data)
        assert status == 400
        assert said["detail"].startswith("image: expected"), said
    status, said = post(png(9, 200, 200))  # more than max_pixels
    assert status == 400
    assert "10000" in said["detail"].replace(",", "")
    status, said = post(png(9), "?score=2")
    assert status == 400
    assert "score" in said["detail"]
    assert post(b"x" * (MOST_BYTES + 1))[0] == 413
    assert post(iter([b"x" * MOST_BYTES, b"x"]))[0] == 413  # of a length that is not said
    assert post(png(204))[0] == 200


def test_the_rate_is_measured_on_loopback(rate, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(rate.detkit, "load", lambda path: OneBox())
    (tmp_path / "a.png").write_bytes(png(204))
    rate.main(["a model", str(tmp_path / "a.png"), "--requests", "6", "--clients", "2"])
    printed = capsys.readouterr().out
    tiny.assert_says(printed, "images a second", "requests a second, 0 wrong answers")
    assert printed.count("(400, b") == 2
