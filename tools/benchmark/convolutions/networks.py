"""The 3x3 convolutions of stride 1 of networks, and the work that they take."""

from typing import Callable, Dict, List, NamedTuple, Tuple

Size = Tuple[int, int]  # height, width in pixels
PAD = 32  # pixels: a detector with an FPN pads its images to multiples
TILE = 4  # outputs of Winograd's F(4x4, 3x3) along an axis
PRODUCTS = (TILE + 2) ** 2  # of a tile
FLOAT = 4  # bytes


class Chain(NamedTuple):
    """Convolutions one after the other, whose maps all have one size.

    Attributes:
        name: the stage of the network.
        channels: of the input, and of the output of each convolution.
        height, width: of the maps, in cells.
    """

    name: str
    channels: Tuple[int, ...]
    height: int
    width: int


class Work(NamedTuple):
    """The work of a forward pass.

    Attributes:
        products: multiply-adds of Winograd's F(4x4, 3x3), without its transforms.
        direct: multiply-adds of the plain sum.
        moved: bytes of the inputs, the outputs and the kernels of all convolutions.
    """

    products: int
    direct: int
    moved: int


def vgg16(size: Size) -> List[Chain]:
    """Returns the thirteen convolutions of VGG16, without its poolings."""
    stages = [(3, 64, 64), (64, 128, 128), (128,) + 3 * (256,), (256,) + 3 * (512,), 4 * (512,)]
    height, width = size
    return [
        Chain(f"conv{number + 1}", channels, height >> number, width >> number)
        for number, channels in enumerate(stages)
    ]


def r50_fpn(size: Size) -> List[Chain]:
    """Returns those of ResNet-50 (strides in its 3x3), of its FPN, and of an RPN on five levels.

    The convolutions of a residual stage follow each other directly, without the 1x1 ones between
    them. P2 to P5 have one convolution of the FPN and one of the RPN.
    """
    stages = [4 * (64,), 4 * (128,), 6 * (256,), 3 * (512,)]
    chains = [
        Chain(f"conv{number}", channels, *map_of(size, number))
        for number, channels in enumerate(stages, 2)
    ]
    chains += [Chain(f"P{level}", (256, 256, 256), *map_of(size, level)) for level in range(2, 6)]
    return [*chains, Chain("P6", (256, 256), *map_of(size, 6))]


def map_of(size: Size, level: int) -> Size:
    """Returns the height and width of the map of stride 2**level, of an image that is padded."""
    height, width = (-(-(-(-side // PAD) * PAD) // 2**level) for side in size)
    return height, width


NETWORKS: Dict[str, Callable[[Size], List[Chain]]] = {"vgg16": vgg16, "r50_fpn": r50_fpn}
SIZES: Dict[str, Size] = {"vgg16": (600, 800), "r50_fpn": (800, 1067)}


def work_of(chain: Chain, batch: int) -> Work:
    """Returns the work of a chain."""
    pairs = list(zip(chain.channels, chain.channels[1:]))
    kernels = sum(before * after for before, after in pairs)
    cells = batch * chain.height * chain.width
    tiles = batch * -(-chain.height // TILE) * -(-chain.width // TILE)
    maps = cells * sum(before + after for before, after in pairs)
    return Work(PRODUCTS * tiles * kernels, 9 * cells * kernels, FLOAT * (maps + 9 * kernels))
