"""A Detector -> a folder: symbol, parameters, operators and model.json."""

import os
import shutil
import tempfile
from typing import Any, Dict, List, Optional, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock

import detkit
from detkit.config import Config, place
from detkit.data.transforms import Resize
from detkit.detector import Detector
from detkit.errors import ExportError
from detkit.export.graph.checked import check_graph
from detkit.export.graph.graph import Graph
from detkit.export.graph.simplify import simplify
from detkit.export.manifest import MANIFEST, PARAMETERS, SYMBOL, Manifest, parse_manifest
from detkit.export.manifest_rules import HEATMAPS, INPUTS
from detkit.export.precision.precisions import Float32, Precision
from detkit.files.disk import make_folder, sha256_of
from detkit.ops import backend
from detkit.ops.compile import LIBRARY, library
from detkit.typing import NDArray, Symbol

MOST_PROPOSALS = 2000  # of an image, as in detkit.data.load_proposals
PARTIAL = ".partial-"  # the prefix of the folder in which the files are written before they move


def export(
    detector: Detector,
    folder: str,
    ops: str = backend.NATIVE,
    checkpoint_sha256: Optional[str] = None,
    precision: Optional[Precision] = None,
) -> Manifest:
    """Writes the files that ``load_exported`` and tools/deploy read; returns their Manifest.

    detector: of images or also proposals; its only transform is a Resize to one size, or none.
    folder: new, empty, or an earlier export, which is replaced file by file, model.json last.
    ops: "native" copies detkit's compiled operators into the folder; "mxnet" uses MXNet's alone.
    checkpoint_sha256: the hash of the weights, for the manifest.
    precision: Int8 or BFloat16 for layers of fewer bits; None is Float32.

    Raises ExportError if the detector cannot be exported, or if the folder holds other files.
    """
    check_folder(folder)
    inputs, resize = inputs_of(detector), resize_of(detector)
    graph, parameters = trace(detector.model, ops)
    precision, own = precision or Float32(), _takes_own_convolutions(ops)
    symbol, parameters = precision.convert(detector.model, graph, parameters, own)
    manifest = Manifest(
        detkit=detkit.__version__,
        mxnet=mx.__version__,
        classes=list(detector.class_names),
        first_label=detector.first_label,
        inputs=inputs,
        outputs=_outputs(detector, symbol, resize),
        resize=resize,
        pad_multiple=detector.pad_multiple,
        ops=ops,
        library=LIBRARY if ops == backend.NATIVE else None,
        precision=precision.name,
        int8_for=precision.cpus,
        files={},
        source={"config": _name_of(detector.config), "checkpoint_sha256": checkpoint_sha256},
        threshold=threshold_of(detector),
    )
    return write_folder(folder, symbol, parameters, manifest)


def write_folder(
    folder: str, symbol: Symbol, parameters: Dict[str, NDArray], manifest: Manifest
) -> Manifest:
    """Writes an export and returns its Manifest.

    manifest: complete except for ``files``, which are added.

    Raises ExportError if it cannot be written, and for a graph that no reader would accept, such as
    one with an operator that operators.inc does not list. An earlier export then stays as it was.
    """
    make_folder(folder)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=PARTIAL) as partial:
            _write_network(partial, symbol, parameters)
            with open(os.path.join(partial, SYMBOL), "rb") as file:
                native = manifest.library is not None
                check_graph(SYMBOL, file.read(), len(manifest.outputs), native)
            if manifest.library is not None:
                shutil.copyfile(library(), os.path.join(partial, manifest.library))
            names = sorted(os.listdir(partial))
            sums = {name: sha256_of(os.path.join(partial, name)) for name in names}
            manifest = manifest._replace(files=sums)
            with open(os.path.join(partial, MANIFEST), "w", encoding="utf-8") as file:
                file.write(manifest.text())
            _move(partial, folder, [*names, MANIFEST])
    except (OSError, mx.MXNetError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ExportError(
            f"{folder}: cannot be written: {reason}; free space, or correct the permissions of the "
            "folder"
        ) from error
    return manifest


def trace(model: HybridBlock, ops: str) -> Tuple[Graph, Dict[str, NDArray]]:
    """Returns the simplified Graph of a network and its parameters by name.

    ops: "native" or "mxnet", the operators of the graph.
    """
    inputs = [mx.sym.var(name, dtype="float32") for name in model.INPUTS]
    with backend.using(ops, direct=True):
        symbol = mx.sym.Group(list(model(*inputs)))
    graph = Graph(symbol)
    named = model.collect_params()
    parameters = {name: named[name].data().as_in_context(mx.cpu()) for name in named}
    return graph, simplify(graph, parameters)


def _takes_own_convolutions(ops: str) -> bool:
    """Returns whether an export with these operators gets detkit's convolutions.

    A GPU can run a graph whose library has CUDA kernels; there are none for these convolutions.
    The operators that this process uses do not matter, only those of the export.
    """
    asked = backend.convolutions() == backend.OWN and ops == backend.NATIVE
    return asked and not backend.has_cuda(library())


def check_folder(folder: str) -> None:
    """Raises ExportError if a folder holds files that are no earlier export."""
    if not os.path.isdir(folder):
        return  # make_folder explains what is wrong if it is a file
    names = [name for name in sorted(os.listdir(folder)) if not name.startswith(PARTIAL)]
    if not names:
        return
    try:
        parse_manifest(folder)
    except ExportError as error:
        raise ExportError(
            f"{folder}: expected an empty folder or an earlier export, found {names[0]} ({error}); "
            "nothing is replaced: name an empty or a new folder"
        ) from error


def inputs_of(detector: Detector) -> List[str]:
    """Returns the manifest's ``inputs``. Raises ExportError for a network with other inputs."""
    inputs = list(detector.model.INPUTS)
    if inputs not in INPUTS:
        known = " or ".join(", ".join(each) for each in INPUTS)
        raise ExportError(
            f"{detector.name}: expected the inputs {known}, found {', '.join(inputs)}; no other "
            "network can be exported"
        )
    return inputs


def resize_of(detector: Detector) -> Optional[Dict[str, Any]]:
    """Returns the manifest's ``resize``. Raises ExportError for transforms other than resizing."""
    transforms = detector.transforms
    if not transforms:
        return None
    first = transforms[0]
    position = 0  # of the transform that cannot be exported
    if isinstance(first, Resize) and type(first) is Resize and len(first.shorts) == 1:
        if len(transforms) == 1:
            return {"short": int(first.shorts[0]), "long": int(first.long), "like": first.like}
        position = 1
    where = f"the transform {type(transforms[position]).__name__}"
    if detector.config is not None:
        where = f"{place(detector.config['data']['val_transforms'], position)}: {where}"
    raise ExportError(
        f"{where} cannot be exported: expected nothing but a Resize to one size, which is all that "
        "the readers of the files can do; leave it out of data.val_transforms"
    )


def _outputs(
    detector: Detector, symbol: Symbol, resize: Optional[Dict[str, Any]]
) -> List[Dict[str, Any]]:
    """Returns the name and the largest shape of each output, and the skeleton of heatmaps."""
    sides = (resize["short"], resize["long"]) if resize else (1000, 1000)
    multiple = detector.pad_multiple
    height, width = (-(-side // multiple) * multiple for side in sides)
    known = {
        "images": (1, 3, height, width),
        "sizes": (1, 2),
        "scales": (1, 2),
        "proposals": (1, MOST_PROPOSALS, 4),
        "proposal_scores": (1, MOST_PROPOSALS),
    }
    model = detector.model
    _, shapes, _ = symbol.infer_shape(**{name: known[name] for name in model.INPUTS})
    outputs: List[Dict[str, Any]] = [
        {"name": name, "shape": ["B", *shape[1:]]} for name, shape in zip(model.OUTPUTS, shapes)
    ]
    if outputs[-1]["name"] == HEATMAPS:
        outputs[-1]["skeleton"] = [list(limb) for limb in detector.skeleton]
    return outputs


def threshold_of(detector: Detector) -> Optional[Dict[str, Any]]:
    return None if detector.threshold is None else detector.threshold.to_json()


def _name_of(config: Optional[Config]) -> Optional[str]:
    """Returns the name of the config's file, without the folders of this machine."""
    return None if config is None else os.path.basename(config.file)


def _write_network(folder: str, symbol: Symbol, parameters: Dict[str, NDArray]) -> None:
    # The casts are those between bfloat16 and float32, which the network needs.
    symbol.save(os.path.join(folder, SYMBOL), remove_amp_cast=False)
    auxiliary = set(symbol.list_auxiliary_states())
    kinds = {name: "aux" if name in auxiliary else "arg" for name in parameters}
    arrays = {f"{kinds[name]}:{name}": array for name, array in sorted(parameters.items())}
    mx.nd.save(os.path.join(folder, PARAMETERS), arrays)


def _move(partial: str, folder: str, names: Sequence[str]) -> None:
    """Moves the files to their folder and removes those that only an earlier export needed."""
    stale = []
    if os.path.exists(os.path.join(folder, MANIFEST)):
        stale = [name for name in parse_manifest(folder).files if name not in names]
    for name in names:
        os.replace(os.path.join(partial, name), os.path.join(folder, name))
    for name in stale:
        if os.path.exists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
