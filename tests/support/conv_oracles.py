"""3x3 convolutions with a padding of 1 in numpy, tap by tap, and detkit's own by ctypes.

The arrays are data (B, C, H, W), weights (O, C, 3, 3), bias (O) or None, and the output and its
gradient (B, O, H, W). Sums are float64.
"""

import ctypes

import numpy as np


def draw(seed, images, channels, filters, height, width):
    """data, weights, bias and the gradient of the output, as float32."""
    rng, map_ = np.random.default_rng(seed), (height, width)
    shapes = (images, channels, *map_), (filters, channels, 3, 3), (filters,)
    shapes = (*shapes, (images, filters, *map_))
    return [rng.normal(0, 1, shape).astype("float32") for shape in shapes]


def _shifted(maps):
    """Yields (tap's row, tap's column, the pixels (B, C, H, W) that the tap reads), in float64."""
    padded = np.pad(maps.astype("float64"), [(0, 0), (0, 0), (1, 1), (1, 1)])
    height, width = maps.shape[2:]
    for y in range(3):
        for x in range(3):
            yield y, x, padded[:, :, y : y + height, x : x + width]


def conv3x3(data, weights, bias=None):
    """detkit_conv3x3 without ReLU."""
    images, _, height, width = data.shape
    out = np.zeros((images, len(weights), height * width))
    for y, x, pixels in _shifted(data):
        out += weights[:, :, y, x].astype("float64") @ pixels.reshape(images, -1, height * width)
    out = out.reshape(images, -1, height, width)
    return out if bias is None else out + bias.astype("float64")[:, None, None]


def conv3x3_backward(data, weights, grad_out):
    """detkit_conv3x3_backward without ReLU: the gradients of data, weights and bias."""
    turned = weights.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    grad_out = grad_out.astype("float64")
    grad_weights = np.zeros(weights.shape)
    flat = grad_out.transpose(1, 0, 2, 3).reshape(len(weights), -1)
    for y, x, pixels in _shifted(data):
        columns = pixels.transpose(1, 0, 2, 3).reshape(data.shape[1], -1)
        grad_weights[:, :, y, x] = flat @ columns.T
    return conv3x3(grad_out, turned), grad_weights, grad_out.sum(axis=(0, 2, 3))


def plain_sums(data, weights):
    """A convolution in float32: one running sum over the channels and their taps."""
    images, channels, height, width = data.shape
    padded = np.pad(data, [(0, 0), (0, 0), (1, 1), (1, 1)])
    out = np.zeros((images, len(weights), height, width), "float32")
    for channel, y, x in np.ndindex(channels, 3, 3):
        pixels = padded[:, None, channel, y : y + height, x : x + width]
        out += pixels * weights[:, channel, y, x, None, None]
    return out


def rounded(array):
    """A float32 array with its numbers rounded to bfloat16, half to even."""
    bits = np.ascontiguousarray(array, "float32").view("uint32")
    halves = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return halves.view("float32")


def has_bfloat16(path):
    """Whether the library at a path multiplies in bfloat16 here."""
    return ctypes.CDLL(str(path)).detkit_isa() == 3


class Conv3x3(ctypes.Structure):
    """DetkitConv3x3 of kernels_conv.h."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("images", "in_channels", "out_channels")),
        *((name, ctypes.c_int) for name in ("height", "width", "relu")),
        ("most", ctypes.c_float),
        *((name, ctypes.c_int) for name in ("bfloat16", "keeps", "pools")),
    ]


class Kernels:
    """The functions of the compiled library, without MXNet, on a number of OpenMP's threads."""

    def __init__(self, path, threads):
        self._library = ctypes.CDLL(str(path))
        self._library.omp_set_num_threads(threads)

    def workspaces(self, conv):
        """The bytes that the two functions need."""
        forward, backward = ctypes.c_int64(), ctypes.c_int64()
        self._call("workspace", conv, ctypes.byref(forward), ctypes.byref(backward))
        return forward.value, backward.value

    def forward(self, conv, data, weights, bias):
        """The output."""
        shape = conv.images, conv.out_channels, conv.height, conv.width
        out = np.full(shape, np.nan, "float32")
        memory = _memory(self.workspaces(conv)[0])
        self._call("", conv, *map(_pointer, (data, weights, bias, memory, out)))
        return out

    def backward(self, conv, data, weights, out, grad_out):
        """The gradients of data, weights and bias."""
        grads = [np.full_like(array, np.nan) for array in (data, weights)]
        grads.append(np.full(conv.out_channels, np.nan, "float32"))
        memory = _memory(self.workspaces(conv)[1])
        arrays = (data, weights, out, grad_out, memory, *grads)
        self._call("backward", conv, *map(_pointer, arrays))
        return grads

    def _call(self, name, conv, *arguments):
        function = getattr(self._library, f"detkit_conv3x3_{name}".rstrip("_"))
        assert function(ctypes.byref(conv), *arguments) == 0


def output_and_gradients(path, threads, name, conv, inputs, grad_out):
    """The output of detkit_NAME and the gradients of its inputs, by the library without MXNet."""
    library = ctypes.CDLL(str(path))
    library.omp_set_num_threads(threads)
    sizes = ctypes.c_int64(), ctypes.c_int64()
    workspace = getattr(library, f"detkit_{name}_workspace")
    assert workspace(ctypes.byref(conv), *map(ctypes.byref, sizes)) == 0
    memory = [_memory(size.value) for size in sizes]
    out, *grads = [np.full_like(array, np.nan) for array in (grad_out, *inputs)]
    calls = {
        name: (*inputs, memory[0], out),
        f"{name}_backward": (*inputs[:2], out, grad_out, memory[1], *grads),
    }
    for function, call in calls.items():
        pointers = map(_pointer, call)
        assert getattr(library, f"detkit_{function}")(ctypes.byref(conv), *pointers) == 0
    return [out, *grads]


def _memory(count):
    """An array of bytes that begins at a multiple of 64."""
    memory = np.full(count + 64, 0xFF, "uint8")
    start = -memory.ctypes.data % 64
    return memory[start : start + count]


def _pointer(array):
    return None if array is None else ctypes.c_void_p(array.ctypes.data)
