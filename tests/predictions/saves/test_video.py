"""Drawn pictures and videos, read back by OpenCV."""

import cv2
import numpy as np

from detkit.detections.draw import draw_detections
from detkit.predictions.frames import Frame
from detkit.predictions.saves import DRAWN, Result, Target, open_saves
from detkit.predictions.saves.pictures import PicturesSave
from detkit.predictions.saves.video import VideoSave
from detkit.predictions.sources import VIDEO, Source
from support.predicting import CLASSES, detections, results, results_of_video, write_images

SIZE = (120, 160)


def drawn(item):
    return draw_detections(item.frame.image, item.found, score_floor=0)


def flat(number, size):
    return np.full((*size, 3), 30 * number + 20, np.uint8)


def smooth_video(count, name="clip", size=SIZE):
    """Results whose frames a code of video keeps: one colour each."""
    source = Source(VIDEO, f"{name}.avi", name)
    return [
        Result(n, Frame(source, flat(n, size), f"{name}/{n:06d}", n, 12.0), detections(n, 2, size))
        for n in range(count)
    ]


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    rate, frames = capture.get(cv2.CAP_PROP_FPS), []
    while True:
        is_there, image = capture.read()
        if not is_there:
            return rate, frames
        frames.append(image[..., ::-1])


def test_pictures_are_the_drawn_images(tmp_path):
    items = results(write_images(tmp_path / "in", 2), [detections(1), detections(2)])
    save = PicturesSave(Target(tmp_path / "out", CLASSES))
    (tmp_path / "out").mkdir()
    for item in [*items, *results_of_video(1, detections)]:
        save.add(item)
    save.close()
    for item in items:
        found = cv2.imread(str(tmp_path / "out" / f"{item.frame.name}.png"))[..., ::-1]
        np.testing.assert_array_equal(found, drawn(item))
    assert cv2.imread(str(tmp_path / "out/clip/000000.jpg")).shape == (40, 60, 3)


def test_a_video_has_all_frames_at_its_rate(tmp_path):
    items = smooth_video(5)
    save = VideoSave(Target(tmp_path, CLASSES))
    for item in items:
        save.add(item)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.part.mp4"]
    save.close()
    rate, frames = frames_of(tmp_path / "clip.mp4")
    assert rate == 12 and len(frames) == 5
    for frame, item in zip(frames, items):
        assert np.abs(frame.astype(int) - drawn(item)).mean() < 6


def test_each_video_has_its_file_and_odd_sizes_are_cut(tmp_path):
    save = VideoSave(Target(tmp_path, CLASSES))
    for item in [*smooth_video(2, "a", (121, 161)), *smooth_video(3, "b")]:
        save.add(item)
    save.close()
    save.close()  # a second time does nothing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    assert [len(frames_of(tmp_path / f"{name}.mp4")[1]) for name in "ab"] == [2, 3]
    assert frames_of(tmp_path / "a.mp4")[1][0].shape == (120, 160, 3)


def test_a_camera_that_comes_back_with_another_size_is_resized(tmp_path):
    first, second = smooth_video(2), smooth_video(1, size=(60, 80))
    second = Result(2, second[0].frame._replace(source=first[0].frame.source), second[0].found)
    save = VideoSave(Target(tmp_path, CLASSES))
    for item in [*first, second]:
        save.add(item)
    save.close()
    assert [frame.shape for frame in frames_of(tmp_path / "clip.mp4")[1]] == [(120, 160, 3)] * 3


def test_without_a_choice_images_are_pictures_and_videos_are_videos(tmp_path):
    saves = open_saves(None, tmp_path / "out", CLASSES, "symlink")
    (tmp_path / "out").mkdir()
    assert list(saves) == [DRAWN]
    items = results(write_images(tmp_path / "in", 1), [detections(1)])
    for item in [*items, *smooth_video(2)]:
        saves[DRAWN].add(item)
    saves[DRAWN].close()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "clip.mp4"]
