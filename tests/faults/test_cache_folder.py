"""The folder of a cache of images, which accidents and other processes change."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from detkit.data.caches import MB, DiskCache
from detkit.data.decoded import Images
from support import tiny
from support.photographs import batches, counted, cv2_image, photographs

SIZES = [(401, 603), (600, 400), (240, 320), (500, 500)]


def entries(folder):
    return sorted(folder.glob("*.image"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def empty(path):
    path.write_bytes(b"")


def flip_pixel(path):
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(bytes(data))


def flip_size(path):
    data = bytearray(path.read_bytes())
    data[40:48] = data[44:48] + data[40:44]  # height and width
    path.write_bytes(bytes(data))


def replaced(path):
    others = [each for each in entries(path.parent) if each != path]
    path.write_bytes(others[0].read_bytes())


@pytest.mark.parametrize("damage", [cut, empty, flip_pixel, flip_size, replaced])
def test_damaged_entries_are_made_again(tmp_path, damage):
    folder = tmp_path / "cache"
    dataset = counted(photographs(tmp_path / "images", SIZES))
    expected = batches(dataset, DiskCache(str(folder)))
    whole = {path: path.read_bytes() for path in entries(folder)}
    assert len(whole) == len(SIZES)
    damage(entries(folder)[1])
    dataset.decoded = 0
    cache = DiskCache(str(folder))
    for one, other in zip(expected, batches(dataset, cache)):
        np.testing.assert_array_equal(one.images, other.images)
    assert dataset.decoded == 1
    assert {path: path.read_bytes() for path in entries(folder)} == whole
    assert cache.used == sum(map(len, whole.values()))


def test_a_changed_file_is_decoded_again_and_takes_no_more_room(tmp_path):
    folder, file = tmp_path / "cache", tmp_path / "images/0.jpg"
    dataset = photographs(tmp_path / "images", SIZES)
    cache = DiskCache(str(folder))
    batches(dataset, cache)
    used = cache.used
    cv2.imwrite(str(file), 255 - cv2.imread(str(file)))
    read = Images(dataset, (), cache).read(0).image
    np.testing.assert_array_equal(read, cv2_image(file))
    assert cache.used == used and len(entries(folder)) == len(SIZES)
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    counted(dataset)
    Images(dataset, (), cache).read(0)
    assert dataset.decoded == 1


def test_a_smaller_limit_drops_the_oldest_entries(tmp_path):
    folder = tmp_path / "cache"
    dataset = photographs(tmp_path / "images", [(700, 600)] * 4)
    batches(dataset, DiskCache(str(folder)))
    ages = {path: 1000 * number for number, path in enumerate(entries(folder))}
    for path, age in ages.items():
        os.utime(path, (age, age))
    (folder / "left.part").write_bytes(b"of a process that was killed")
    (folder / "mine.txt").write_text("not the cache's")
    cache = DiskCache(str(folder), 3)
    assert entries(folder) == list(ages)[2:]
    assert cache.used == sum(each.stat().st_size for each in entries(folder)) <= 3 * MB
    assert not list(folder.glob("*.part")) and (folder / "mine.txt").exists()


def test_a_folder_that_is_gone_ends_the_cache_and_no_training(tmp_path, caplog):
    folder = tmp_path / "cache"
    dataset = photographs(tmp_path / "images", SIZES)
    cache = DiskCache(str(folder))
    expected = batches(dataset)
    (folder / "cache.lock").unlink()
    folder.rmdir()
    for _ in range(2):
        for one, other in zip(expected, batches(dataset, cache)):
            np.testing.assert_array_equal(one.images, other.images)
    assert [str(folder) in each for each in caplog.messages] == [True]


WRITER = """
import sys
sys.path[:0] = [{tests!r}]
from detkit.data import JSONLines, Loader, Resize
from detkit.data.caches import DiskCache

dataset = JSONLines({file!r})
cache = DiskCache({folder!r}, 4)
for epoch in range(3):
    for batch in Loader(dataset, [Resize(100, 1000)], 1, shuffle=True, cache=cache).batches(epoch):
        print(batch.image_ids, float(batch.images.sum()))
"""


def test_runs_at_the_same_time_share_a_folder(tmp_path):
    folder = tmp_path / "cache"
    dataset = photographs(tmp_path / "images", [(700, 600), (600, 700)] * 4)
    file = str(tmp_path / "images/photographs.jsonl")
    script = WRITER.format(tests=str(tiny.ROOT / "tests"), file=file, folder=str(folder))
    runs = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=tiny.ROOT)
        for _ in range(3)
    ]
    said = {run.communicate(timeout=100)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(said) == 1
    stored = sum(each.stat().st_size for each in entries(folder))
    assert 3 * 700 * 600 * 3 <= stored <= 4 * MB
    cache = DiskCache(str(folder), 4)
    assert cache.used == stored
    for index in range(len(dataset)):
        read = Images(dataset, (), cache).read(index).image
        np.testing.assert_array_equal(read, cv2_image(dataset.image_path(index)))


def test_a_killed_writer_leaves_a_folder_that_can_be_used(tmp_path):
    folder = tmp_path / "cache"
    dataset = photographs(tmp_path / "images", SIZES)
    kill = """
import os
from pathlib import Path
writes = Path.write_bytes
def cut(path, data):
    writes(path, data[:99])
    os.kill(os.getpid(), 9)
Path.write_bytes = cut
"""
    file = str(tmp_path / "images/photographs.jsonl")
    script = WRITER.format(tests=str(tiny.ROOT / "tests"), file=file, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", kill + script], cwd=tiny.ROOT, timeout=100)
    assert done.returncode == -9 and list(folder.glob("*.part"))
    cache = DiskCache(str(folder))
    assert cache.used == 0 and not list(folder.glob("*.part"))
    for one, other in zip(batches(dataset), batches(dataset, cache)):
        np.testing.assert_array_equal(one.images, other.images)
    assert len(entries(folder)) == len(SIZES)
