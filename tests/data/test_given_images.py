"""Images in every form that a caller may have, for a detector, for views of it, for its export."""

import cv2
import mxnet as mx
import numpy as np
import pytest

import detkit
from detkit.errors import DataError, ImageError
from detkit.export.symbol import export
from detkit.tta import TTA, TTADetector
from support import small
from support.exports import detector_of, photos

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
ImageFile = pytest.importorskip("PIL.ImageFile", reason="Pillow is not installed")
KINDS_OF_DETECTORS = ["Detector", "TTADetector", "exported"]


@pytest.fixture(scope="module")
def photo():
    """(H, W, 3) uint8 RGB."""
    return photos((50, 64))[0]


@pytest.fixture(scope="module")
def file(photo, tmp_path_factory):
    """The photo as a PNG."""
    path = tmp_path_factory.mktemp("images") / "photo.png"
    cv2.imwrite(str(path), photo[..., ::-1])
    return path


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    """{name: one detector as itself, with one upright view, and exported}."""
    detector, folder = detector_of(small.build()), tmp_path_factory.mktemp("export")
    export(detector, str(folder), "mxnet")
    loaded = detkit.load_exported(folder)
    views = TTADetector(detector, TTA(flips=()))
    return dict(zip(KINDS_OF_DETECTORS, (detector, views, loaded)))


@pytest.fixture(scope="module", params=KINDS_OF_DETECTORS)
def detector(request, detectors):
    return detectors[request.param]


class Foreign:
    """An image of another library: it has one way to an array, or fails."""

    def __init__(self, array=None, interface=False):
        self.array = array
        if interface:
            self.__array_interface__ = array.__array_interface__

    def __array__(self, *args):
        if self.array is None:
            raise RuntimeError("it requires grad")
        return self.array


def with_alpha(photo):
    return np.concatenate([photo, photo[..., :1]], axis=2)


def as_palette(photo):
    """A PIL image of indices, and the colours that they stand for."""
    return Image.fromarray(photo).quantize(16)


OF_A_FILE = {
    "a path": lambda path: path,
    "its name": str,
    "bytes": lambda path: path.read_bytes(),
    "a bytearray": lambda path: bytearray(path.read_bytes()),
    "a memoryview": lambda path: memoryview(path.read_bytes()),
    "a PIL image": Image.open,
    "a PIL image with alpha": lambda path: Image.open(path).convert("RGBA"),
}
OF_AN_ARRAY = {
    "itself": lambda photo: photo,
    "columns first in memory": np.asfortranarray,
    "alpha": with_alpha,
    "16 bits": lambda photo: photo.astype(np.uint16) * 257,
    "16 bits, big-endian": lambda photo: (photo.astype(np.uint16) * 257).astype(">u2"),
    "MXNet's": lambda photo: mx.nd.array(photo, dtype="uint8"),
    "__array__": Foreign,
    "__array_interface__": lambda photo: Foreign(photo, interface=True),
}


@pytest.mark.parametrize("kind", [*OF_A_FILE, *OF_AN_ARRAY])
def test_every_kind_of_image_is_detected_alike(detector, photo, file, kind):
    expected = detector.detect(photo)
    assert len(expected) > 2
    made = OF_A_FILE[kind](file) if kind in OF_A_FILE else OF_AN_ARRAY[kind](photo)
    assert detector.detect(made) == expected
    assert detector.detect(iter([made, photo])) == detector.detect([photo, photo])


@pytest.mark.parametrize("kind", ["itself", "alpha", "16 bits", "MXNet's", "__array__"])
def test_arrays_may_be_bgr_and_files_know_their_order(detector, photo, file, kind):
    expected = detector.detect(photo)
    made = OF_AN_ARRAY[kind](photo[..., ::-1])
    if kind == "alpha":
        made = with_alpha(photo)[..., [2, 1, 0, 3]]
    assert detector.detect(made, channels="BGR") == expected
    assert detector.detect(made) != expected
    assert detector.detect(cv2.imread(str(file)), channels="BGR") == expected
    for kind_of_file in ("a path", "bytes", "a PIL image"):
        assert detector.detect(OF_A_FILE[kind_of_file](file), channels="BGR") == expected


def test_grey_and_palettes_become_rgb(detector, photo):
    grey = photo[..., 0]
    expected = detector.detect(np.repeat(grey[..., None], 3, axis=2))
    for made in (grey, grey[..., None], Image.fromarray(grey)):
        for channels in ("RGB", "BGR"):
            assert detector.detect(made, channels=channels) == expected
    for made in (as_palette(photo), Image.fromarray(photo).convert("CMYK")):
        assert detector.detect(made) == detector.detect(np.asarray(made.convert("RGB")))
    bits = Image.fromarray(grey > 128)
    assert bits.mode == "1"
    assert detector.detect(bits) == detector.detect((grey > 128).astype(np.uint8) * 255)


def test_a_score_leaves_the_better_ones(detector, photo):
    found = detector.detect(photo)
    middle = np.sort(found.scores)[len(found) // 2]
    better = detector.detect(photo, score=middle)
    assert 0 < len(better) < len(found)
    assert better == found[found.scores >= middle]
    assert detector.detect([photo], score=float(middle)) == [better]
    assert detector.detect(photo, score=0) == found
    assert len(detector.detect(photo, score=1)) == 0
    for score in (-0.1, 50, "0.5", float("nan")):
        with pytest.raises(DataError, match="score: expected a number from 0 to 1, found"):
            detector.detect(photo, score=score)


def refusals(photo):
    """{index of the image: what is wrong}."""
    return {
        "float": (photo / 255, "uint8.*found float64"),
        "bool": (photo > 3, "uint8.*found bool"),
        "channels first": (
            photo.transpose(2, 0, 1),
            r"\(3, 50, 64\); move the channels",
        ),
        "two channels": (photo[..., :2], r"shape.*found \(50, 64, 2\)"),
        "a PIL image of 32 bits": (Image.fromarray(photo[..., 0]).convert("I"), "found int32"),
        "a failing object": (Foreign(), "found a Foreign that cannot be read: it requires grad"),
        "None": (None, "a path.*found NoneType"),
        "no image": (b"no image", "expected JPEG.*found 8 bytes"),
        "no bytes": (b"", "found an empty file"),
    }


@pytest.mark.parametrize("kind", refusals(np.zeros((50, 64, 3), np.uint8)))
def test_what_is_no_image_is_refused_by_its_index(detector, photo, kind):
    image, message = refusals(photo)[kind]
    with pytest.raises(ImageError, match=rf"images\[1\]: .*{message}"):
        detector.detect([photo, image])


def test_a_truncated_file_is_refused_in_every_form(detector, file, tmp_path, monkeypatch):
    # GluonCV sets it for the whole process where its datasets are imported.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    half = tmp_path / "half.png"
    half.write_bytes(file.read_bytes()[:4000])
    for kind in ("a path", "bytes", "a PIL image"):
        with pytest.raises(ImageError, match="truncated"):
            detector.detect(OF_A_FILE[kind](half))


def test_what_holds_no_images_is_refused(detector, photo):
    for images in (None, 7):
        with pytest.raises(ImageError, match="images: expected a path.*or a list of these, found"):
            detector.detect(images)
    with pytest.raises(ImageError, match=r"images\[0\]: .*cannot be read: it requires grad"):
        detector.detect(Foreign())
    with pytest.raises(ImageError, match="channels: expected 'RGB' or 'BGR', found 'rgb'"):
        detector.detect(photo, channels="rgb")
    assert detector.detect(iter(())) == []


def test_bytes_are_bound_as_files_are(detectors, file):
    limited = detector_of(small.build(), max_pixels=100)
    for image in (file, file.read_bytes()):
        with pytest.raises(ImageError, match="at most 100 pixels, found 64 x 50"):
            limited.detect(image)
