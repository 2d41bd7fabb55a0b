"""What the words of a command line mean: each kind of source, and words without one."""

import pytest

from detkit.errors import ImageError
from detkit.predictions import find_sources
from support.tiny import assert_says


@pytest.fixture
def folder(tmp_path, monkeypatch):
    names = ("a.jpg", "b.PNG", "clip.mp4", "notes.md", ".hidden.jpg", "deep/c.jpg", "deep/d/e.jpg")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*words):
    return [(source.kind, source.path) for source in find_sources(words)]


def test_files_folders_and_patterns(folder):
    inside = [("image", "./a.jpg"), ("image", "./b.PNG"), ("video", "./clip.mp4")]
    assert found(".") == inside
    assert found("notes.md") == [("image", "notes.md")]  # what it is not is said when it is read
    assert found("clip.mp4", "a.jpg") == [("video", "clip.mp4"), ("image", "a.jpg")]
    assert found("*.jpg") == [("image", "a.jpg")]
    assert found("**/*.jpg") == [("image", p) for p in ("a.jpg", "deep/c.jpg", "deep/d/e.jpg")]


def test_cameras_and_addresses(folder):
    address = "rtsp://me:secret@10.0.0.5:554/live?x=1"
    camera, stream, other = find_sources(["0", address, "http://h/v.mp4"])
    assert (camera.kind, camera.path, camera.shown) == ("camera", "0", "camera 0")
    assert camera.is_live
    assert (stream.kind, stream.path, stream.is_live) == ("stream", address, True)
    assert (stream.shown, stream.name) == ("rtsp://10.0.0.5:554/live?x=1", "10.0.0.5-554-live")
    assert other.name == "h-v.mp4"
    (folder / "0").write_bytes(b"x")
    assert found("0") == [("image", "0")]  # a file that exists has priority


def test_a_list_of_paths_relative_to_itself(folder, monkeypatch):
    (folder / "deep/list.txt").write_text("\ufeffc.jpg\n\n  d/e.jpg \n../clip.mp4\nd/*.jpg\n")
    monkeypatch.chdir("/")
    deep = f"{folder}/deep"
    expected = ["image", "image", "video", "image"]
    assert [kind for kind, _ in found(f"{deep}/list.txt")] == expected
    assert found(f"{deep}/list.txt")[1] == ("image", f"{deep}/d/e.jpg")


def test_names_are_unique(folder):
    for name in ("deep/a.png", "deep/A.jpg", "a-2.jpg"):
        (folder / name).write_bytes(b"x")
    names = [
        source.name for source in find_sources(["a-2.jpg", "a.jpg", "deep/a.png", "deep/A.jpg"])
    ]
    assert names == ["a-2", "a", "a-3", "A-4"]


@pytest.mark.parametrize(
    ("word", "fragments"),
    [
        ("clip.mp5", ("clip.mp5: no such file or folder; did you mean 'clip.mp4'?", "(.mp4")),
        ("empty", ("empty: expected a folder with images (.jpg", "found no image among 1 names")),
        ("above", ("'above/**/*.jpg'",)),
        ("*.tiff", ("*.tiff: expected a pattern", "none among the 0 paths")),
        ("*.md", ("none among the 1 paths",)),
        ("rtps://h/x", ("rtps://h/x: ", "begins with one of rtsp", "did you mean", "'rtsp'")),
        ("ftp://me:secret@h/x", ("ftp://h/x: expected an address", "found 'ftp'")),
        ("none.txt", ("no such file",)),
        ("blank.txt", ("blank.txt: expected a list of paths, one per line, found no line",)),
        ("bad.txt", ("bad.txt:2: gone.jpg: no such file",)),
        ("nested.txt", ("nested.txt:1: ", "found another list")),
    ],
)  # fmt: skip
def test_what_is_no_source_is_said(folder, word, fragments):
    for name, text in (("blank.txt", "\n \n"), ("bad.txt", "a.jpg\ngone.jpg\n"),
                       ("nested.txt", "blank.txt\n"), ("empty/x.md", ""),
                       ("above/below/x.jpg", "")):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with pytest.raises(ImageError) as caught:
        find_sources([word])
    assert_says(str(caught.value), *fragments)
    assert "secret" not in str(caught.value)
