"""tools/deploy without OpenCV: by libjpeg and libpng it reads the pixels that Python reads."""

import random
import shutil
import struct
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from detkit.data.images import MOST_SCANS, decode_image
from detkit.errors import ImageError
from support import deploy, image_files
from support.deploy import SOURCES

FLAGS = ("-std=c++17", "-O0", "-Wall", "-Wextra", "-Werror", "-I", SOURCES)
LIBRARIES = ("jpeg", "orientation", "png")
CODECS = {"codec_jpeg_png": ("-ljpeg", "-lpng"), "codec_ppm": ()}
STATED = struct.pack(">II", image_files.WIDTH, image_files.HEIGHT)  # by a PNG
FRAME = b"\x11\x08" + struct.pack(">HH", image_files.HEIGHT, image_files.WIDTH)  # of a JPEG

pytestmark = pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The folder of what both programs have in common, compiled."""
    folder = tmp_path_factory.mktemp("images")
    main = Path(__file__).with_name("deploy_images.cc")
    names = [main, *(SOURCES / f"{name}.cpp" for name in ("image_file", "image_headers"))]
    subprocess.run(["c++", *FLAGS, "-c", *names], cwd=folder, check=True)
    return folder


def link(objects, codec, *more):
    """The path of the program of a codec."""
    sources = [SOURCES / f"{name}.cpp" for name in (codec, *more)]
    words = [*FLAGS, *sources, *objects.glob("*.o"), *CODECS[codec], "-o", objects / codec]
    subprocess.run(["c++", *words], check=True)
    return objects / codec


@pytest.fixture(scope="module")
def program(objects):
    """The path of the program with libjpeg and libpng."""
    if not deploy.has_jpeg_png():
        pytest.skip("needs libjpeg and libpng with their headers")
    return link(objects, "codec_jpeg_png", *LIBRARIES)


def read(program, paths):
    """Reads files by the program: the pixels (H, W, 3) of each, or the message of its refusal."""
    done = subprocess.run([program, "read", *paths], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    output, found = done.stdout, []
    for _ in paths:
        line, output = output.split(b"\n", 1)
        height, width, *message = line.split(b" ", 2)
        size = 3 * int(height) * int(width)
        pixels = np.frombuffer(output[:size], np.uint8).reshape(int(height), int(width), 3)
        found.append(message[0].decode() if message else pixels)
        output = output[size:]
    assert output == b""
    return found


def read_one(program, path, content):
    path.write_bytes(content)
    return read(program, [path])[0]


def by_python(path):
    """The pixels of Python's reader, or None if it refuses the file."""
    try:
        return decode_image(path)
    except ImageError:
        return None


@pytest.mark.parametrize("kind", ["pngs", "jpegs", "turned"])
def test_pixels_are_pythons(program, tmp_path, kind):
    files = getattr(image_files, kind)()
    paths = [tmp_path / str(number) for number in range(len(files))]
    for path, content in zip(paths, files.values()):
        path.write_bytes(content)
    found = dict(zip(files, read(program, paths)))
    expected = dict(zip(files, map(decode_image, paths)))
    assert [name for name in files if not np.array_equal(found[name], expected[name])] == []
    assert len(files) > 40


def test_orientations_turn(program, tmp_path):
    """The oracle of the test above knows them, too: here they are numpy's."""
    stored = decode_of(tmp_path, image_files.jpeg())
    turns = (stored[:, ::-1], stored[::-1, ::-1], stored[::-1], stored.transpose(1, 0, 2))
    turns += (np.rot90(stored, -1), np.rot90(stored, 2).transpose(1, 0, 2), np.rot90(stored))
    for orientation, expected in zip(range(2, 9), turns):
        content = image_files.jpeg(exif=b"Exif\0\0" + image_files.exif(orientation))
        np.testing.assert_array_equal(read_one(program, tmp_path / "a", content), expected)


def decode_of(folder, content):
    (folder / "stored").write_bytes(content)
    return decode_image(folder / "stored")


def test_truncated_files(program, tmp_path):
    """Nothing is filled with grey."""
    for content in (image_files.jpeg(), image_files.jpeg(progressive=True), image_files.png()):
        paths = []
        for length in range(3, len(content) - 1, 97):
            paths.append(tmp_path / str(length))
            paths[-1].write_bytes(content[:length])
        for path, message in zip(paths, read(program, paths)):
            assert isinstance(message, str) and message.startswith(f"{path}: expected ")


def test_damaged_files(program, tmp_path):
    """The reader ends in pixels or in a message, and refuses no file that Python accepts.

    Versions of libjpeg-turbo guess what is missing of a damaged progressive JPEG in different ways.
    """
    generator, paths = random.Random(0), []
    wholes = [image_files.jpeg(), image_files.png(3, 4, True), image_files.jpeg(progressive=True)]
    for number in range(120):
        content = bytearray(wholes[number % len(wholes)])
        for _ in range(generator.randrange(1, 4)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(content)
    refused = 0
    for number, found in enumerate(read(program, paths)):
        expected = by_python(paths[number])
        if isinstance(found, str):
            assert expected is None and found.startswith(f"{paths[number]}: expected ")
            refused += 1
        elif number % len(wholes) < 2:
            np.testing.assert_array_equal(found, expected)
        else:
            assert found.shape == expected.shape
    assert 20 < refused < 100


def test_sizes_are_bounded(program, tmp_path):
    path = tmp_path / "large"
    for whole, stated in ((image_files.png(), STATED), (image_files.jpeg(), FRAME)):
        assert whole.count(stated) == 1
        large = struct.pack(">II", 20000, 20000)[: len(stated)]
        if stated is FRAME:
            large = FRAME[:2] + struct.pack(">HH", 20000, 20000)
        message = read_one(program, path, whole.replace(stated, large))
        assert message.startswith(f"{path}: expected at most 100000000 pixels, found 20000 x 20000")
        assert by_python(path) is None


def test_scans_are_bounded(program, tmp_path):
    whole = image_files.jpeg(progressive=True)
    scan = whole.rindex(b"\xff\xda")
    for scans, accepted in ((MOST_SCANS, True), (MOST_SCANS + 1, False)):
        more = whole[scan:-2] * (scans - whole.count(b"\xff\xda"))
        found = read_one(program, tmp_path / "scans", whole[:-2] + more + whole[-2:])
        assert isinstance(found, str) != accepted, found
        assert accepted or f"at most {MOST_SCANS} scans, found {scans}" in found


def test_writes_what_it_read(program, tmp_path):
    (tmp_path / "a").write_bytes(image_files.png())
    subprocess.run([program, "copy", tmp_path / "a", tmp_path / "b.png"], check=True)
    np.testing.assert_array_equal(decode_image(tmp_path / "b.png"), decode_image(tmp_path / "a"))


def test_other_formats_are_refused(program, tmp_path):
    for content in (cv2.imencode(".bmp", image_files.picture())[1].tobytes(), b"no image"):
        message = read_one(program, tmp_path / "a", content)
        assert message.startswith(f"{tmp_path / 'a'}: expected a JPEG, a PNG or a PPM (P6)")


def test_without_libraries_ppm_alone(objects, tmp_path):
    program = link(objects, "codec_ppm")
    deploy.write_ppm(tmp_path / "a.ppm", image_files.picture())
    subprocess.run([program, "copy", tmp_path / "a.ppm", tmp_path / "b.ppm"], check=True)
    paths = [tmp_path / "a.ppm", tmp_path / "b.ppm", tmp_path / "c.png"]
    paths[2].write_bytes(image_files.png())
    first, second, message = read(program, paths)
    np.testing.assert_array_equal(first, image_files.picture())
    np.testing.assert_array_equal(second, first)
    assert message.startswith(f"{paths[2]}: expected a PPM (P6)") and "libpng" in message
