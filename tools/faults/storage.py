"""Rows about files: the disk is full, folders are read-only, checkpoints and images are damaged."""

import contextlib
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import cv2

from detkit.data.shapes import Shapes
from faults.lab import FILES, ORDINARY, Lab, require, require_clear

SIZES = (40, 100, 160, 220, 300, 420, 560)  # KiB of a disk; a run needs more


def disk_full(lab: Lab, times: int) -> str:
    """The disk fills up while something is written; then there is room again."""
    statuses: List[int] = []
    for index in range(times):
        size = SIZES[index % len(SIZES)] + lab.random.randrange(20)
        work = lab.work_dir()
        work.mkdir()
        with _small_disk(work, size) as mounted:
            limit = None if mounted else _file_size_limit(size)
            ended = lab.train(work, preexec_fn=limit)
            require_clear(ended, "")
            words = ("the disk is full", "No space left", "File too large")
            require(any(word in ended.err for word in words), "expected the reason", ended)
            statuses.append(ended.status)
            if mounted:
                subprocess.run(["mount", "-o", "remount,size=64m", work], check=True)
            lab.finish(work)
        lab.discard(work)
    kind = "a tmpfs" if mounted else "RLIMIT_FSIZE"
    return f"{len(statuses)} disks ({kind}), a clear error each, resumed bit-equal"


@contextlib.contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mounts a tmpfs of ``size`` KiB if that is allowed; yields whether it is."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def _file_size_limit(size: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size << 9, resource.RLIM_INFINITY))

    return limit


def read_only(lab: Lab, times: int) -> str:
    """Folders that cannot be written to, from the start or from a moment of the training on."""
    prefix = ORDINARY if os.geteuid() == 0 else ()
    seen: Counter[str] = Counter()
    for _ in range(times):
        work = lab.work_dir()
        work.mkdir()
        with _without_writing(work):
            require_clear(lab.train(work, prefix=prefix), str(work), "writable folder")
        seen["from the start"] += 1
        for name in ("", "checkpoints", "pictures"):
            process = lab.start(work, resume="auto", prefix=prefix)
            _wait_for(work / name, process)
            lab.moment(0.3)
            with _without_writing(work / name):
                ended = lab.end(process)
            if ended.status:  # the run may have ended before
                require_clear(ended, str(work))
                seen[f"{name or 'work dir'} while training"] += 1
        lab.finish(work)
        lab.discard(work)
    return ", ".join(f"{name}: {count}" for name, count in sorted(seen.items())) + "; bit-equal"


@contextlib.contextmanager
def _without_writing(folder: Path) -> Iterator[None]:
    before = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(before)


def _wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    while process.poll() is None and not path.exists():
        time.sleep(0.005)


def no_home(lab: Lab, times: int) -> str:
    """No HOME, a HOME and a cache that cannot be made."""
    without = {name: value for name, value in os.environ.items() if name != "HOME"}
    cases = {
        "no HOME": without,
        "no such HOME": {**without, "HOME": "/proc/nothing"},
        "no such cache": {**os.environ, "DETKIT_CACHE": "/proc/nothing"},
    }
    for environment in list(cases.values()) * times:
        work = lab.work_dir()
        ended = lab.train(work, env=environment)
        require(ended.status == 0, "a training needs a home", ended)
        lab.discard(work)
    return f"{', '.join(cases)}: each trains"


def damaged(lab: Lab, times: int) -> str:
    """Each file of the newest checkpoint truncated, flipped or missing; then all checkpoints."""
    count, source = 0, lab.work_dir()
    lab.stopped(source, step=14)
    names = (*FILES, "state.json", "config.yaml", "SHA256SUMS")
    kinds = [(name, kind) for name in names for kind in ("truncated", "flipped", "missing")]
    for name, kind in kinds * times:
        work = lab.work_dir()
        shutil.copytree(source, work, symlinks=True)
        _damage(lab, work / "checkpoints/step-00000014" / name, kind)
        ended = lab.finish(work, force=True)
        require("warning: " in ended.err and "step-00000014" in ended.err, "no warning", ended)
        count += 1
        lab.discard(work)
    for path in (source / "checkpoints").glob("step-*"):
        _damage(lab, path / FILES[0], "flipped")
    require_clear(lab.train(source, resume="auto", force=True), "damaged", "--resume PATH")
    lab.discard(source)
    return f"{count} newest: the one before is used and said, bit-equal; all: refused"


def _damage(lab: Lab, path: Path, kind: str) -> None:
    data = bytearray(path.read_bytes())
    if kind == "missing":
        path.unlink()
        return
    if kind == "flipped":
        data[lab.random.randrange(len(data) // 2)] ^= 1 << lab.random.randrange(8)
    path.write_bytes(data[: lab.random.randrange(len(data))] if kind == "truncated" else data)


def clock(lab: Lab, times: int) -> str:
    """The clock was wrong while files were written: their times are in any order."""
    for _ in range(times):
        work = lab.work_dir()
        lab.stopped(work, step=lab.random.randrange(2, 28))
        for path in work.rglob("*"):
            moment = lab.random.choice([915148800, 2051222400, lab.random.uniform(1, 2e9)])
            os.utime(path, (moment, moment), follow_symlinks=False)
        lab.finish(work, force=True)
        lab.discard(work)
    return f"{times} resumed bit-equal"


def dataset(lab: Lab, times: int) -> str:
    """Images disappear after a step of the first four epochs of five: one, or all for a time."""
    images, data = _photographs(lab)
    reference = lab.work_dir()
    require(lab.train(reference, *data).status == 0, "the undisturbed run failed")
    saved = 0
    for _ in range(times):
        for gone in ([sorted(images.iterdir())[0]], sorted(images.iterdir())):
            work = lab.work_dir()
            # Every epoch reads each image, and six steps are an epoch.
            process = lab.start_and_stop(work, lab.random.randint(1, 24), *data)
            for path in gone:
                path.rename(path.with_suffix(".gone"))
            os.kill(process.pid, signal.SIGCONT)
            ended = lab.end(process)
            for path in gone:
                path.with_suffix(".gone").rename(path)
            if len(gone) == 1:
                require(ended.status == 0, "one missing image ended a run", ended)
                require("skipped" in ended.out, "nothing was said of a missing image", ended)
            else:
                require_clear(ended, "at most 1%", images.name)
                saved += "saved because of an error" in ended.out
                again = lab.train(work, *data, resume="auto", force=True)
                require(again.status == 0, "a run was not resumed", again)
                lab.compare(work, reference)
            lab.discard(work)
    return f"{times} x one image: each told; {times} x all: {saved} saved, resumed bit-equal"


def _photographs(lab: Lab) -> Tuple[Path, Tuple[str, str]]:
    """Writes pictures of shapes as a COCO dataset; returns the folder and the overrides."""
    folder = lab.folder / "images"
    folder.mkdir()
    drawn = Shapes(length=24, size=(64, 64), seed=1)
    content: Dict[str, List[Any]] = {"images": [], "annotations": []}
    content["categories"] = [{"id": n + 1, "name": c} for n, c in enumerate(drawn.class_names)]
    for index in range(len(drawn)):
        annotation, name = drawn.annotation(index), f"{index:03d}.png"
        cv2.imwrite(str(folder / name), drawn.image(index)[:, :, ::-1])
        content["images"].append({"id": index, "file_name": name, "width": 64, "height": 64})
        for box, label in zip(annotation.boxes.tolist(), annotation.labels.tolist()):
            sides = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            number = len(content["annotations"]) + 1
            thing = {"id": number, "image_id": index, "category_id": label + 1, "iscrowd": 0}
            content["annotations"].append({**thing, "bbox": sides, "area": sides[2] * sides[3]})
    file = lab.folder / "instances.json"
    file.write_text(json.dumps(content))
    # Rarer checkpoints, so that an error has something to save.
    rarely = "train.checkpoint_every={steps: 100}"
    return folder, (f"data.train={{type: COCO, annotations: {file}, images: {folder}}}", rarely)
