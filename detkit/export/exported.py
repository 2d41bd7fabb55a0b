"""An exported detector in use: its folder -> detections, without the code it was built by."""

import logging
import os

import mxnet as mx
import numpy as np

from detkit.data.batch import make_batch
from detkit.data.images import is_one_image, read_images
from detkit.data.proposed import add_proposals
from detkit.data.resize import resample, resized_size
from detkit.data.sample import unlabelled
from detkit.detections import detections_of
from detkit.device import find_device
from detkit.errors import ExportError
from detkit.export.manifest import BFLOAT16, FLOAT32, SYMBOL, VNNI, read_manifest
from detkit.export.network_files import read_network, to_ndarray
from detkit.export.outputs import check_outputs
from detkit.files.disk import sha256_of
from detkit.ops import backend
from detkit.ops.compile import BuildError
from detkit.processor import describe, has_bfloat16, has_vnni

log = logging.getLogger(__name__)

FUSION = "MKLDNN"  # MXNet's name for oneDNN
MXNET_ERRORS = (mx.MXNetError, ValueError, TypeError, IndexError)  # what its operators raise


def load_exported(folder, device="auto", fuse=False):
    """The ExportedDetector of a folder that tools/export.py wrote.

    device: "auto", "cpu" or "gpu". "auto" is a GPU if MXNet has one and the files can run there;
        if only the files are the reason against it, one line of warning says so.
    fuse: on a CPU, join layers as oneDNN can. It saves a few hundredths of the time for images of
        one size after the other, costs a tenth where sizes change, since every change prepares the
        weights anew, and keeps the weights in memory twice. The files know nothing of it: what is
        fused runs on a CPU and with oneDNN alone.

    Raises ExportError for a folder that is incomplete, damaged or not for this machine.
    """
    folder = os.fspath(folder)
    manifest = read_manifest(folder)
    library = _load_operators(folder, manifest)
    ctx = _find_device(folder, device, manifest, library)
    if fuse and not (ctx.device_type == "cpu" and mx.runtime.Features().is_enabled(FUSION)):
        raise ExportError(
            f"{folder}: fuse=True is for a CPU and an MXNet built with oneDNN ({FUSION}), and this "
            f"is {ctx}: leave it out"
        )
    if manifest.precision == BFLOAT16 and not has_bfloat16():
        raise ExportError(
            f"{folder}: its layers are bfloat16, for CPUs with avx512_bf16, and this is "
            f"{describe()}; export it without --bf16 for this machine"
        )
    if manifest.int8_for == VNNI and not has_vnni():
        log.warning(
            "%s: its INT8 is for CPUs with VNNI, and this is %s: sums saturate, and it may find "
            "less; export it again with --int8-for any",
            folder,
            describe(),
        )
    return ExportedDetector(load_network(folder, manifest, ctx, fuse), manifest, ctx)


class ExportedDetector:
    """A network out of files, used as a Detector is.

    class_names: the names of the labels. manifest: what model.json says. takes_proposals: whether
        ``detect`` is given boxes to look at, as the FastRCNN that was exported.
    """

    def __init__(self, network, manifest, ctx):
        self.manifest = manifest
        self.class_names = tuple(manifest.classes)
        self.takes_proposals = "proposals" in manifest.inputs
        self._network, self._ctx = network, ctx

    def detect(self, images, proposals=None):
        """The Detections of one image, boxes in its own pixels, or a list of them for several.

        images: as for Detector.detect, an (H, W, 3) uint8 RGB array or the name of an image file,
            or a list of such.
        proposals: where ``takes_proposals``, boxes (R, 4) in pixels of the image, or of each of
            several.

        Raises ImageError; DataError for proposals that are missing, too many or no boxes.
        """
        if is_one_image(images):
            return self.detect([images], None if proposals is None else [proposals])[0]
        images = list(images)
        return self.detect_batch(self.batch(images, proposals)) if images else []

    def batch(self, images, proposals=None):
        """The Batch that the network gets for some images, a list; the rest as for ``detect``."""
        arrays = read_images(images)
        samples = [unlabelled(array) for array in arrays]
        samples = add_proposals(samples, proposals, self.takes_proposals, "this exported detector")
        samples = [self._resized(sample) for sample in samples]
        originals = [array.shape[:2] for array in arrays]
        return make_batch(samples, originals, self.manifest.pad_multiple)

    def detect_batch(self, batch):
        """One Detections for each image of a Batch, boxes in pixels of the image on disk."""
        inputs = (getattr(batch, name) for name in self.manifest.inputs)
        try:
            outputs = self._network(*(mx.nd.array(array, ctx=self._ctx) for array in inputs))
            arrays = [output.asnumpy() for output in outputs]
        except MXNET_ERRORS as error:
            raise ExportError(
                f"{SYMBOL}: MXNet {mx.__version__} cannot run it with images of "
                f"{batch.images.shape}: {_reason(error)}"
            ) from error
        check_outputs(arrays, len(batch.images), self.manifest)
        return detections_of(batch, arrays, self.class_names, self.manifest.first_label)

    def _resized(self, sample):
        resize, (height, width) = self.manifest.resize, sample.image.shape[:2]
        if resize is None:
            return sample
        size = resized_size(height, width, **resize)
        ratio = np.array([size[0] / width, size[1] / height] * 2, np.float32)
        moved = sample.move_boxes(lambda boxes: boxes * ratio)
        return moved._replace(image=resample(sample.image, size, resize["like"]))


def load_network(folder, manifest, ctx, fuse=False):
    """The graph of a folder as a compiled block. Raises ExportError where MXNet cannot read it.

    Its memory is planned anew when the size of the input changes, and not at every call. Fused
    operators, which all layers of fewer bits are, keep the weights that they prepared, too, as
    long as the size stays the same.
    """
    path = os.path.join(folder, SYMBOL)
    text, arrays = read_network(folder, manifest)
    try:
        symbol = mx.sym.load_json(text)
        if fuse:
            symbol = symbol.optimize_for(FUSION)
        inputs = [mx.sym.var(name, dtype="float32") for name in manifest.inputs]
        network = mx.gluon.SymbolBlock(symbol, inputs)
        parameters = {name: to_ndarray(array) for name, array in arrays.items()}
        network.collect_params().load_dict(parameters, ctx, cast_dtype=True, dtype_source="saved")
    except (*MXNET_ERRORS, AssertionError) as error:
        raise ExportError(
            f"{path}: MXNet {mx.__version__} cannot read it, MXNet {manifest.mxnet} wrote it: "
            f"{_reason(error)}"
        ) from error
    prepared = fuse or manifest.precision != FLOAT32
    network.hybridize(static_alloc=True, static_shape=prepared)
    return network


def _reason(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _find_device(folder, name, manifest, library):
    """The context of ``name``, a CPU if "auto" finds a GPU for which the files were not made.

    library: the path of the library whose operators the graph uses, or None.
    """
    ctx = find_device(name)
    if ctx.device_type == "cpu":
        return ctx
    if manifest.precision != FLOAT32:
        reason = f"its layers are {manifest.precision} of oneDNN, which runs on CPUs alone"
        remedy = "export it without --int8 and --bf16"
    elif library is not None and not backend.has_cuda(library):
        reason = f"its operators, {library}, have no CUDA kernels"
        remedy = "export it with --ops mxnet, or where nvcc is on PATH and MXNet is built for CUDA"
    else:
        return ctx
    if name == "gpu":
        raise ExportError(
            f"{folder}: the device is 'gpu', and {reason}; use 'cpu' or 'auto', or {remedy}"
        )
    log.warning("%s: it runs on the CPU and not on the GPU: %s; %s", folder, reason, remedy)
    return mx.cpu()


def _load_operators(folder, manifest):
    """The path of the library whose operators the graph uses, or None if they are MXNet's own.

    The library is the folder's, unless this process has one already.
    """
    if manifest.library is None:
        backend.adopt(None)
        return None
    path = os.path.join(folder, manifest.library)
    try:
        used = backend.adopt(path)
    except BuildError as error:
        raise ExportError(
            f"{error}; it was compiled for MXNet {manifest.mxnet}, and this is {mx.__version__}: "
            "export with --ops mxnet for other machines"
        ) from error
    if sha256_of(used) != manifest.files[manifest.library]:
        log.warning("%s: this process goes on with the operators of %s", path, used)
    return used
