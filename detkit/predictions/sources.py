"""The words of a command line that name images -> files, videos, cameras and streams."""

import glob
import os
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence

from detkit.data.images import SUFFIXES
from detkit.errors import ImageError
from detkit.wording import did_you_mean

IMAGE, VIDEO, CAMERA, STREAM = "image", "video", "camera", "stream"
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"),
    *(".ts", ".mjpeg", ".mjpg"),
)
SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp", "rtp", "srt")
LIST = ".txt"
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
USER = re.compile(r"//[^/@]*@")  # the user and the password of an address
ODD = re.compile(r"[^\w.-]+")  # characters of an address that the name of a file should not have
EXPECTED = (
    f"images ({', '.join(SUFFIXES)}), videos ({', '.join(VIDEO_SUFFIXES)}), folders of them, "
    f"patterns in quotation marks, a list of paths ({LIST}), the number of a camera, or an address "
    f"({', '.join(SCHEMES)})"
)


class Source(NamedTuple):
    """One image, or one video, camera or stream with all its frames.

    kind: IMAGE, VIDEO, CAMERA or STREAM.
    path: a file, the number of a camera or an address, as OpenCV opens it.
    name: the name of the results without a suffix; no other source has it.
    """

    kind: str
    path: str
    name: str

    @property
    def is_live(self) -> bool:
        """Whether its frames come whether anybody reads them or not."""
        return self.kind in (CAMERA, STREAM)

    @property
    def shown(self) -> str:
        """The path as messages and results name it: without the password of an address."""
        if self.kind == CAMERA:
            return f"camera {self.path}"
        return USER.sub("//", self.path, count=1) if self.kind == STREAM else self.path


def find_sources(words: Sequence[str]) -> List[Source]:
    """Returns the sources that words name, in their order; a folder's and a pattern's are sorted.

    A word is a file or a folder that exists; or a pattern of the shell, in which ``**`` stands for
    any folders; or an address; or the number of a camera. A file that ends with .txt is a list of
    such words, one per line, which are relative to the list's folder. A folder gives the images and
    videos in it, and not those in the folders below it.

    Raises ImageError, which says what was looked for, for a word without a source.
    """
    found = [pair for word in words for pair in _found(str(word), is_listed=False)]
    taken: Dict[str, int] = {}
    return [Source(kind, path, _unused(_stem(kind, path), taken)) for kind, path in found]


def _found(word: str, is_listed: bool) -> Iterator[Sequence[str]]:
    """Yields (kind, path) of each source of a word."""
    scheme = ADDRESS.match(word)
    if os.path.isdir(word):
        yield from _within(word)
    elif os.path.exists(word):
        if word.lower().endswith(LIST):
            yield from _listed(word, is_listed)
        else:
            yield _kind(word), word
    elif scheme:
        yield STREAM, _address(word, scheme[1])
    elif word.isdecimal():
        yield CAMERA, word
    elif glob.has_magic(word):
        yield from _matching(word)
    else:
        raise ImageError(f"{word}: {_nothing(word)}; expected {EXPECTED}")


def _kind(path: str) -> str:
    return VIDEO if path.lower().endswith(VIDEO_SUFFIXES) else IMAGE


def _within(folder: str) -> List[Sequence[str]]:
    names = sorted(os.listdir(folder))
    paths = [
        os.path.join(folder, name)
        for name in names
        if name.lower().endswith(SUFFIXES + VIDEO_SUFFIXES) and not name.startswith(".")
    ]
    if not paths:
        below = [name for name in names if os.path.isdir(os.path.join(folder, name))]
        hint = f"; it has folders, whose images '{folder}/**/*.jpg' names" if below else ""
        raise ImageError(
            f"{folder}: expected a folder with images ({', '.join(SUFFIXES)}) or videos "
            f"({', '.join(VIDEO_SUFFIXES)}), found no image among {len(names)} names{hint}"
        )
    return [(_kind(path), path) for path in paths]


def _matching(pattern: str) -> List[Sequence[str]]:
    """Returns the files that a pattern matches, and those of the folders that it matches."""
    paths = sorted(glob.glob(pattern, recursive=True))
    files = [path for path in paths if path.lower().endswith(SUFFIXES + VIDEO_SUFFIXES)]
    found = [(_kind(path), path) for path in files if os.path.isfile(path)]
    if not found:
        raise ImageError(
            f"{pattern}: expected a pattern of images or videos, found none among the "
            f"{len(paths)} paths that it matches in {os.getcwd()}"
        )
    return list(found)


def _listed(file: str, is_listed: bool) -> Iterator[Sequence[str]]:
    if is_listed:
        raise ImageError(f"{file}: expected an image or a video in a list, found another list")
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ImageError(f"{file}: expected a list of paths in UTF-8: {error}") from error
    words = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not words:
        raise ImageError(f"{file}: expected a list of paths, one per line, found no line")
    for number, word in words:
        beside = os.path.join(os.path.dirname(file), word)
        is_path = os.path.exists(beside) or glob.has_magic(word)
        try:
            yield from _found(beside if is_path and not ADDRESS.match(word) else word, True)
        except ImageError as error:
            raise ImageError(f"{file}:{number}: {error}") from error


def _address(word: str, scheme: str) -> str:
    if scheme.lower() not in SCHEMES:
        raise ImageError(
            f"{USER.sub('//', word, count=1)}: expected an address that begins with one of "
            f"{', '.join(SCHEMES)}, found {scheme!r}{did_you_mean(scheme, SCHEMES)}"
        )
    return word


def _nothing(path: str) -> str:
    """Returns that there is no such file, with a near match."""
    folder, name = os.path.split(os.path.abspath(path))
    beside = os.listdir(folder) if os.path.isdir(folder) else []
    return f"no such file or folder{did_you_mean(name, beside)}"


def _stem(kind: str, path: str) -> str:
    if kind == CAMERA:
        return f"camera-{path}"
    if kind == STREAM:
        text = USER.sub("//", path, count=1).partition("://")[2].partition("?")[0]
        return ODD.sub("-", text).strip("-.")[:100] or STREAM
    return os.path.splitext(os.path.basename(path))[0]


def _unused(stem: str, taken: Dict[str, int]) -> str:
    """Returns the stem, with a number if it is taken, and takes it; case does not count."""
    number = taken.get(stem.lower(), 0) + 1
    while number > 1 and f"{stem}-{number}".lower() in taken:
        number += 1
    taken[stem.lower()] = number
    if number == 1:
        return stem
    taken[f"{stem}-{number}".lower()] = 1
    return f"{stem}-{number}"
