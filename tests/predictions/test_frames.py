"""Frames of images, videos and streams: truncated, unreadable, lost, and found again."""

import logging
import struct

import cv2
import numpy as np
import pytest

from detkit.predictions import find_sources
from detkit.predictions.captures import Waiting
from detkit.predictions.frames import Frames, batches, described
from detkit.predictions.sources import CAMERA, STREAM, Source
from support.predicting import FakeCapture, picture, write_images, write_video
from support.tiny import assert_says

IMAGES = [picture(number) for number in range(3)]


@pytest.fixture(autouse=True)
def messages(caplog):
    caplog.set_level(logging.INFO, "detkit")
    return caplog


def test_images_and_videos_in_order(tmp_path):
    write_images(tmp_path, 2)
    write_video(tmp_path / "clip.avi", 4)
    frames = Frames(find_sources([str(tmp_path)]))
    seen = list(frames)
    names = ["0", "1", *(f"clip/{number:06d}" for number in range(4))]
    assert [frame.name for frame in seen] == names and frames.unread == 0
    np.testing.assert_array_equal(seen[1].image, picture(1))
    assert [frame.number for frame in seen] == [None, None, 0, 1, 2, 3]
    assert [frame.seconds for frame in seen[2:]] == pytest.approx([0, 0.1, 0.2, 0.3])
    greys = [frame.image.mean() for frame in seen[2:]]
    np.testing.assert_allclose(greys, [0, 2, 4, 6], atol=1.5)
    sources = find_sources([str(tmp_path)])
    assert described(sources) == "2 images, 1 video"


def test_what_cannot_be_read_is_said_and_left_out(tmp_path, messages):
    paths = write_images(tmp_path, 3)
    paths[0].write_bytes(paths[0].read_bytes()[:40])
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    (tmp_path / "none.avi").write_bytes(b"")
    frames = Frames(find_sources([str(tmp_path)]))
    assert [frame.name for frame in frames] == ["1", "2"]
    assert frames.unread == 3
    said = [record.getMessage() for record in messages.records]
    assert_says(said[0], "skipped: ", "0.png", "truncated after 40 bytes")
    assert_says(said[1], "skipped: ", "no.mp4: expected a video that OpenCV can read")
    assert_says(said[2], "none.avi")


def test_a_truncated_video_is_read_as_far_as_it_goes(tmp_path, messages):
    whole = write_video(tmp_path / "whole.avi", 40, (120, 160)).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    frames = Frames(find_sources([str(tmp_path / "cut.avi")]))
    seen = list(frames)
    assert 10 < len(seen) < 40 and frames.unread == 0
    greys = [frame.image.mean() for frame in seen]
    np.testing.assert_allclose(greys, 2 * np.arange(len(seen)), atol=1.5)
    (said,) = [record.getMessage() for record in messages.records]
    assert_says(said, "cut.avi: expected the 40 frames of its header, found", str(len(seen)))


def test_a_video_of_too_many_pixels_is_refused(tmp_path, messages):
    write_video(tmp_path / "clip.avi", 2)
    frames = Frames(find_sources([str(tmp_path / "clip.avi")]), max_pixels=2399)
    assert list(frames) == [] and frames.unread == 1
    assert "at most 2399 pixels, found 60 x 40" in messages.records[0].getMessage()


class Lost:
    """Opens fake captures, one after the other; None cannot be opened. Its clock only waits."""

    def __init__(self, *captures):
        self.captures, self.time, self.pauses = list(captures), 0.0, []

    def opened(self, source):
        return self.captures.pop(0) if self.captures else None

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.time += seconds

    def frames(self, kind=STREAM, retry_for=12.0):
        waiting = Waiting(retry_for, lambda: self.time, self.pause)
        source = Source(kind, "rtsp://me:secret@h/live", "live")
        return Frames([source], waiting=waiting, opened=self.opened)


def test_a_lost_stream_is_said_and_opened_again(messages):
    first, second = FakeCapture(IMAGES[:2], rate=20), FakeCapture(IMAGES[2:], rate=20)
    lost = Lost(first, None, None, second)
    frames = lost.frames()
    seen = list(frames)
    assert [frame.number for frame in seen] == [0, 1, 2]
    np.testing.assert_array_equal(seen[2].image, IMAGES[2][..., ::-1])
    assert first.released and second.released
    # Three attempts until it is back; then until 12 s have passed without a frame.
    assert lost.pauses == [1, 2, 5, 1, 2, 5]
    assert frames.unread == 1
    said = [record.getMessage() for record in messages.records]
    assert said[0] == "rtsp://h/live: lost after 2 frames; trying again in 1 s"
    assert said[3] == "rtsp://h/live: found again"
    assert_says(said[-1], "skipped: rtsp://h/live: ", "none for 12 s after 3 frames", "--retry-for")
    assert "secret" not in " ".join(said)


def test_a_camera_that_is_not_there(messages):
    lost = Lost()
    assert list(lost.frames(CAMERA, retry_for=3)) == []
    assert lost.pauses == [1, 2]
    assert "cannot be opened; trying again in 1 s" in messages.records[0].getMessage()


def test_a_video_behind_an_address_ends_with_its_last_frame():
    lost = Lost(FakeCapture(IMAGES, stated=3))
    assert len(list(lost.frames())) == 3 and lost.pauses == []


def test_an_unfinished_stream_is_closed():
    capture = FakeCapture(IMAGES)
    frames = iter(Lost(capture).frames())
    next(frames)
    frames.close()
    assert capture.released


def test_batches_keep_videos_apart(tmp_path):
    write_images(tmp_path, 3)
    write_video(tmp_path / "a.avi", 3)
    write_video(tmp_path / "b.avi", 1)
    groups = [
        [frame.name for frame in batch]
        for batch in batches(iter(Frames(find_sources([str(tmp_path)]))), 2)
    ]
    assert groups == [["0", "1"], ["2"], ["a/000000", "a/000001"], ["a/000002"], ["b/000000"]]


QUARTER = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]  # a matrix of MP4: a quarter turn


def test_a_turned_video_is_upright(tmp_path):
    """By the orientation that a telephone writes."""
    path = tmp_path / "turned.mp4"
    letters = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), letters, 10, (64, 48))
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = 200
    writer.write(image)
    writer.release()
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", *QUARTER)
    path.write_bytes(data)
    (frame,) = Frames(find_sources([str(path)]))
    assert frame.image.shape == (64, 48, 3)
    assert frame.image[8:24].mean() > 180 and frame.image[40:56].mean() < 20
