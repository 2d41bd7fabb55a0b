"""The key ``train.precision``: the numbers that the convolutions of a training multiply.

There is no fp16. MXNet's mixed precision for GPUs (contrib.amp) replaces operators of the whole
process, and detkit's own operators calculate in float32.
"""

from mxnet.gluon import Block, HybridBlock

from detkit.config import Config, place
from detkit.errors import ConfigError
from detkit.models import Network
from detkit.models.layers import Conv2D
from detkit.ops import backend
from detkit.processor import describe, has_bfloat16

FP32, BF16, AUTO = "fp32", "bf16", "auto"


def use_precision(config: Config, model: Network, precision: str) -> str:
    """Lets a new network calculate in ``train.precision`` and returns which it is, FP32 or BF16.

    precision: FP32, BF16, or AUTO, which is BF16 if the processor and the operators of this process
        have it, otherwise FP32. On a GPU it is FP32.

    Raises ConfigError for BF16 if the processor or the operators of this process do not have it.
    """
    if precision == FP32 or (precision == AUTO and not _is_possible()):
        return FP32
    if not _is_possible():
        whose = "detkit's" if backend.own_convolutions() else "MXNet's"
        raise ConfigError(
            f"{place(config['train'], 'precision')}: expected a CPU with avx512_bf16 and detkit's "
            f"convolutions for bf16, found {describe()} and {whose} convolutions; write fp32 or "
            "auto"
        )
    multiply_in_bfloat16(model)
    return BF16


def multiply_in_bfloat16(model: HybridBlock) -> None:
    """Lets the convolutions of a network multiply in bfloat16, and hybridizes it again."""

    def change(block: Block) -> None:
        if isinstance(block, Conv2D):
            block.bfloat16 = True

    model.apply(change)
    model.hybridize()  # it forgets the graph of its first call


def _is_possible() -> bool:
    return has_bfloat16() and backend.own_convolutions()
