"""A Detector -> a folder: symbol, parameters, operators and model.json."""

import os
import shutil
import tempfile

import mxnet as mx

import detkit
from detkit.config import place
from detkit.data.transforms import Resize
from detkit.errors import ExportError
from detkit.export.graph.checked import check_graph
from detkit.export.graph.graph import Graph
from detkit.export.graph.simplify import simplify
from detkit.export.manifest import MANIFEST, PARAMETERS, SYMBOL, Manifest, parse_manifest
from detkit.export.precision.precisions import Float32
from detkit.files.disk import make_folder, sha256_of
from detkit.models import FastRCNN, Network
from detkit.ops import backend
from detkit.ops.compile import LIBRARY, library

OUTPUTS = ("boxes", "scores", "labels", "masks")
MOST_PROPOSALS = 2000  # of an image, as in detkit.data.load_proposals
PARTIAL = ".partial-"  # of the folder that the files are written in before they are moved


def export(detector, folder, ops=backend.NATIVE, checkpoint_sha256=None, precision=None):
    """Write what ``load_exported`` and tools/deploy read into ``folder``.

    detector: a Detector whose network takes images and, perhaps, proposals, and whose images are
        resized or left as they are.
    ops: "native", detkit's operators, which are put into the folder; or "mxnet", those that every
        MXNet has.
    checkpoint_sha256: of the weights, to be remembered.
    precision: Int8 or BFloat16, for layers that calculate with fewer bits; Float32 if None.

    An earlier export is replaced, file by file and model.json last. Returns the Manifest. Raises
    ExportError for a detector that cannot be exported, and for a folder that holds anything else.
    """
    check_folder(folder)
    inputs = detector.model.INPUTS
    if inputs not in (Network.INPUTS, FastRCNN.INPUTS):
        raise ExportError(
            f"a {type(detector.model).__name__} takes {', '.join(inputs)}; what can be exported "
            f"takes {', '.join(Network.INPUTS)} or {', '.join(FastRCNN.INPUTS)}"
        )
    resize = _resize_of(detector)
    precision = precision or Float32()
    symbol, parameters = precision.convert(detector.model, *trace(detector.model, ops))
    manifest = Manifest(
        detkit=detkit.__version__,
        mxnet=mx.__version__,
        classes=list(detector.class_names),
        first_label=detector.first_label,
        inputs=list(inputs),
        outputs=_outputs(symbol, inputs, resize, detector.pad_multiple),
        resize=resize,
        pad_multiple=detector.pad_multiple,
        ops=ops,
        library=LIBRARY if ops == backend.NATIVE else None,
        precision=precision.name,
        int8_for=precision.cpus,
        files={},
        source={"config": _name_of(detector.config), "checkpoint_sha256": checkpoint_sha256},
    )
    return write_folder(folder, symbol, parameters, manifest)


def write_folder(folder, symbol, parameters, manifest):
    """Write an export whose ``manifest`` knows everything but its files; the whole Manifest.

    Raises ExportError when it cannot be written, and for a graph that no reader would accept, for
    example of an operator that operators.inc does not list; an earlier export is then as it was.
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
            f"{folder}: cannot be written: {reason}; make room or mend the folder's permissions"
        ) from error
    return manifest


def trace(model, ops):
    """The Graph of a network, simplified, and its parameters by name."""
    inputs = [mx.sym.var(name, dtype="float32") for name in model.INPUTS]
    with backend.using(ops):
        symbol = mx.sym.Group(list(model(*inputs)))
    graph = Graph(symbol)
    named = model.collect_params()
    parameters = {name: named[name].data().as_in_context(mx.cpu()) for name in named}
    return graph, simplify(graph, parameters)


def check_folder(folder):
    """Raise ExportError where something else than an earlier export would be replaced."""
    if not os.path.isdir(folder):
        return  # make_folder says what is wrong with a file
    found = [name for name in sorted(os.listdir(folder)) if not name.startswith(PARTIAL)]
    if not found:
        return
    try:
        parse_manifest(folder)
    except ExportError as error:
        raise ExportError(
            f"{folder}: holds {found[0]} and is no earlier export ({error}); nothing is replaced: "
            "name an empty or a new folder"
        ) from error


def _resize_of(detector):
    """The manifest's ``resize``. ExportError for transforms that the files could not repeat."""
    transforms = detector.transforms
    if not transforms:
        return None
    (first, *others) = transforms
    plain = type(first) is Resize and len(first.shorts) == 1
    if plain and not others:
        return {"short": int(first.shorts[0]), "long": int(first.long), "like": first.like}
    position = 1 if plain else 0
    where = f"the transform {type(transforms[position]).__name__}"
    if detector.config is not None:
        where = f"{place(detector.config['data']['val_transforms'], position)}: {where}"
    raise ExportError(
        f"{where} cannot be exported: what reads the files can resize images, to one size, and "
        "nothing else; leave it out of data.val_transforms"
    )


def _outputs(symbol, inputs, resize, pad_multiple):
    """Name and shape of each output for an image as large, and of as many proposals, as come."""
    sides = (resize["short"], resize["long"]) if resize else (1000, 1000)
    height, width = (-(-side // pad_multiple) * pad_multiple for side in sides)
    known = {
        "images": (1, 3, height, width),
        "sizes": (1, 2),
        "proposals": (1, MOST_PROPOSALS, 4),
        "proposal_scores": (1, MOST_PROPOSALS),
    }
    _, shapes, _ = symbol.infer_shape(**{name: known[name] for name in inputs})
    return [{"name": name, "shape": ["B", *shape[1:]]} for name, shape in zip(OUTPUTS, shapes)]


def _name_of(config):
    """The config's file name, without the folders of the machine it was on."""
    return None if config is None else os.path.basename(config.file)


def _write_network(folder, symbol, parameters):
    symbol.save(os.path.join(folder, SYMBOL), remove_amp_cast=False)  # bfloat16's begin and end
    auxiliary = set(symbol.list_auxiliary_states())
    kinds = {name: "aux" if name in auxiliary else "arg" for name in parameters}
    arrays = {f"{kinds[name]}:{name}": array for name, array in sorted(parameters.items())}
    mx.nd.save(os.path.join(folder, PARAMETERS), arrays)


def _move(partial, folder, names):
    """Put the files in their place; those of an earlier export that are no longer needed go."""
    stale = []
    if os.path.exists(os.path.join(folder, MANIFEST)):
        stale = [name for name in parse_manifest(folder).files if name not in names]
    for name in names:
        os.replace(os.path.join(partial, name), os.path.join(folder, name))
    for name in stale:
        if os.path.exists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
