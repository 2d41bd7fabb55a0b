"""Files as Detectron publishes them: the names of Caffe2, pickled by Python 2."""

import io
import pickle

import numpy as np

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class _Python2(pickle._Pickler):
    """The pickler of Python 2, whose text and bytes are one type, by protocol 2."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, data):
        length, short = len(data), len(data) < 256
        self.write((b"U%c" % length if short else b"T" + length.to_bytes(4, "little")) + data)

    def save_str(self, text):
        self.save_bytes(text.encode("latin1"))

    dispatch[str], dispatch[bytes] = save_str, save_bytes


def write_detectron(path, blobs):
    """Writes {name: array} as Detectron's files hold them; the path."""
    file = io.BytesIO()
    _Python2(file, 2).dump({"blobs": blobs, "cfg": "MODEL: {}\n" * 30})
    path.write_bytes(file.getvalue())
    return path


def resnet_blobs(depth, stages=4, norm="bn", seed=0):
    """The arrays of the stem and the first ``stages`` stages, small random numbers."""
    rng = np.random.default_rng(seed)
    blobs = {}

    def layer(name, before, width, kernel, affine=None):
        fan_in = before * kernel**2
        blobs[f"{name}_w"] = rng.normal(0, fan_in**-0.5, (width, before, kernel, kernel))
        blobs[f"{name}_b"] = np.zeros(width)  # Detectron's converter adds the missing ones
        affine = affine or f"{name}_{norm}"
        blobs[f"{affine}_s"], blobs[f"{affine}_b"] = rng.uniform(0.5, 1.5, (2, width))

    layer("conv1", 3, 64, 7, affine=f"res_conv1_{norm}" if norm == "bn" else f"conv1_{norm}")
    before = 64
    for stage in range(2, stages + 2):
        width = 64 * 2 ** (stage - 2)
        kernels = (3, 3) if depth < 50 else (1, 3, 1)
        widths = (width, width) if depth < 50 else (width, width, 4 * width)
        for block in range(BLOCKS[depth][stage - 2]):
            name = f"res{stage}_{block}_branch"
            if block == 0 and before != widths[-1]:
                layer(f"{name}1", before, widths[-1], 1)
            for letter, kernel, after in zip("abc", kernels, widths):
                layer(f"{name}2{letter}", before, after, kernel)
                before = after
    return {name: array.astype("float32") for name, array in blobs.items()}
