"""``detkit.load``: the folder of a run, a checkpoint or an export, or an .onnx -> its detector."""

import os
from typing import TYPE_CHECKING, Optional, Tuple, Union, overload

from detkit.checkpoints import (
    CONFIG,
    FOLDER,
    STATE,
    SUMS,
    WEIGHTS,
    find_checkpoints,
    folder_of,
    read_last,
)
from detkit.checkpoints.names import BEST, LAST
from detkit.data.images import SUFFIXES
from detkit.errors import CheckpointError, ExportError
from detkit.export.exported import ExportedDetector
from detkit.export.manifest import MANIFEST, PARAMETERS, SYMBOL
from detkit.export.runtimes.choice import MXNET, is_exported, open_exported
from detkit.requirements import import_mxnet
from detkit.wording import did_you_mean, first_few

if TYPE_CHECKING:
    from detkit.config import Config
    from detkit.detector import Detector

PathName = Union[str, "os.PathLike[str]"]
AnyDetector = Union["Detector", ExportedDetector]

EXPECTED = "expected an .onnx, or the folder of a run, of a checkpoint or of an export"
STAGES = "stages"  # the folder of the stages of a run
DATA = ("Annotations", "ImageSets", "JPEGImages", "annotations", "images", "labels", "data.yaml")
INSIDE = (CONFIG, STATE, SUMS, WEIGHTS, LAST, MANIFEST, SYMBOL, PARAMETERS)
FILES = {  # suffixes: what such a file is, and what to do
    (".yaml", ".yml"): "a config; name its checkpoint, too: detkit.load(config, checkpoint)",
    (".pth", ".pt", ".pkl", ".safetensors", ".params"): "weights without a config; "
    "detkit convert-weights makes a folder of other frameworks' weights",
    SUFFIXES: "an image; give it to the detector's detect",
}


@overload
def load(
    source: Union[PathName, "Config"],
    checkpoint: PathName,
    device: str = "auto",
    *,
    runtime: Optional[str] = None,
) -> "Detector": ...


@overload
def load(
    source: PathName,
    checkpoint: None = None,
    device: str = "auto",
    *,
    runtime: Optional[str] = None,
) -> Union["Detector", ExportedDetector]: ...


def load(
    source: Union[PathName, "Config"],
    checkpoint: Optional[PathName] = None,
    device: str = "auto",
    *,
    runtime: Optional[str] = None,
) -> Union["Detector", ExportedDetector]:
    """Returns the detector of a folder, of an .onnx, or of a config and a checkpoint.

    source: the folder of a run, whose best checkpoint is taken, or, without a best one, the last;
        of a checkpoint, with the config in it; or of an export; or an .onnx of an export. With
        ``checkpoint``: a config, as its path or as what load_config returned.
    checkpoint: the checkpoint's folder, for another config than the one in it.
    device: "auto" (a GPU if there is one), "cpu", "gpu" or "cuda", or "tensorrt" (ONNX Runtime).
    runtime: what runs an export: "mxnet", or, with its .onnx, "onnxruntime" or "openvino". None:
        see detkit.export.runtimes.choice.

    An export gives an ExportedDetector, which detects like the Detector that it was made of and
    needs none of its models and plugins; an .onnx needs no MXNet. Data are never needed.

    Raises CheckpointError, which says what was found instead, ConfigError and ExportError.
    """
    if checkpoint is not None:
        _check_checkpoints_runtime(checkpoint, runtime)
        from detkit.build.load import load as load_both

        return load_both(source, checkpoint, device)
    if not isinstance(source, (str, os.PathLike)):
        raise CheckpointError(
            f"detkit.load: {EXPECTED}, or a config and a checkpoint, found a "
            f"{type(source).__name__} alone"
        )
    path = os.fspath(source)
    if is_exported(path):
        return open_exported(path, device, runtime)
    _check_checkpoints_runtime(path, runtime)
    # An export needs no models, and should not wait for them.
    from detkit.build.load import load_alone

    return load_alone(checkpoint_in(path), device)


def _check_checkpoints_runtime(path: PathName, runtime: Optional[str]) -> None:
    """Raises ExportError for another runtime than MXNet, and DetkitError if it is not there."""
    if runtime not in (None, MXNET):
        raise ExportError(
            f"{os.fspath(path)}: expected an export or an .onnx for runtime={runtime!r}, found "
            "none; detkit export --onnx makes both of a checkpoint"
        )
    import_mxnet()


def open_detector(
    config: "Config",
    source: str,
    tta: bool = False,
    runtime: Optional[str] = None,
    device: str = "auto",
) -> AnyDetector:
    """Returns the detector of a config and a checkpoint's folder, or that of an export.

    tta: whether the detector looks at the views of the config's section ``tta``.
    runtime, device: see ``load``.

    Raises the errors of ``load``, and CheckpointError for an export with ``tta``.
    """
    if is_exported(source):
        if tta:
            raise CheckpointError(
                f"{source}: expected the folder of a checkpoint for --tta, which needs the parts "
                "of the detector, found an export"
            )
        return open_exported(source, device, runtime)
    from detkit.build import build_tta
    from detkit.tta import TTADetector

    detector = load(config, source, device, runtime=runtime)
    return TTADetector(detector, build_tta(config)) if tta else detector


def config_and_checkpoint(path: str) -> Tuple[str, str]:
    """Returns the paths of the config and the checkpoint of a run, or of one of its checkpoints.

    Raises the errors of ``checkpoint_in``, and CheckpointError for an export, which has no config.
    """
    if is_exported(path):
        raise CheckpointError(
            f"{path}: expected the folder of a run, found an export, which does not name its data; "
            "write a config before it: CONFIG EXPORT"
        )
    checkpoint = checkpoint_in(path)
    return os.path.join(folder_of(checkpoint), CONFIG), checkpoint


def checkpoint_in(path: str) -> str:
    """Returns the path of the checkpoint that is meant by a folder's path.

    Raises CheckpointError, which says what was found instead.
    """
    is_best = os.path.basename(path) == BEST and os.path.lexists(path)
    if is_best or any(os.path.isfile(os.path.join(path, n)) for n in (WEIGHTS, STATE, SUMS)):
        return path  # load_checkpoint knows what ``best`` stands for
    inside = os.path.join(path, FOLDER)
    folder = inside if os.path.isdir(inside) else path
    best, last, found = os.path.join(folder, BEST), read_last(folder), find_checkpoints(folder)
    if os.path.exists(best):
        return best
    if last is not None and os.path.isdir(last.path):
        return last.path
    if found:
        return found[-1]
    raise CheckpointError(f"{path}: {EXPECTED}, found {_what_is(path)}")


def _what_is(path: str) -> str:
    """Returns what is at a path instead of a detector, and what to do."""
    if os.path.isfile(path):
        return _what_the_file_is(path)
    folder, name = os.path.split(os.path.abspath(path))
    if not os.path.isdir(path):
        beside = os.listdir(folder) if os.path.isdir(folder) else []
        return f"nothing there{did_you_mean(name, beside)}"
    content = sorted(os.listdir(path))
    images = [each for each in content if each.lower().endswith(SUFFIXES)]
    if os.path.isdir(os.path.join(path, STAGES)):
        stages = first_few(sorted(os.listdir(os.path.join(path, STAGES))))
        return f"a run whose stages are not joined yet; name the folder of a stage: {stages}"
    if FOLDER in content:
        return "a run without a complete checkpoint; a training saves its first one after an epoch"
    if images:
        return f"a folder of {len(images)} images; give them to the detector's detect"
    if set(DATA) & set(content):
        return f"a dataset ({first_few(content)}); a training makes a run of it"
    return f"a folder with {first_few(content)}" if content else "an empty folder"


def _what_the_file_is(path: str) -> str:
    folder, name = os.path.split(path)
    if name in INSIDE and not (name == CONFIG and not os.path.isdir(os.path.join(folder, FOLDER))):
        return f"a file of one; name the folder: {folder or os.curdir}"
    for suffixes, kind in FILES.items():
        if name.lower().endswith(suffixes):
            return kind
    return f"a file of {os.path.getsize(path)} bytes"
