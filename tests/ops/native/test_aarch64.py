"""The library of operators for aarch64, as a compiler there would make it, against x86-64's.

test_fuzz_kernels.py looks for errors of memory in kernels that are hardly optimised. Here they are
compiled with the flags that users have, linked with the binding of MXNet, and run under qemu.
"""

import functools
import platform

import numpy as np
import pytest

from detkit import processor
from detkit.ops import compile as compiling
from support import aarch64, kernel_calls
from support.kernel_calls import Call
from support.kernel_examples import EXACT, LARGE, ROUNDED

pytestmark = [pytest.mark.slow, aarch64.NEEDED]

# Products are fused with sums on both. Only sums over pixels are added in vectors of another width,
# and compilers may fuse differently.
TOLERANCE = 32 * np.finfo("float32").eps  # of the largest number


@pytest.fixture(scope="module")
def library():
    """The library's path, which detkit compiles into its cache as it would on aarch64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXX", aarch64.COMPILER)
        patch.setattr(platform, "machine", lambda: "aarch64")
        return compiling.library()


@pytest.fixture(scope="module")
def arm(library, tmp_path_factory):
    """A function: what calls give on aarch64."""
    program = tmp_path_factory.mktemp("arm") / "call_kernels"
    command = aarch64.command(kernel_calls.link(aarch64.COMPILER, library, program))
    return functools.partial(kernel_calls.results, command)


@pytest.fixture(scope="module")
def here(built_library, tmp_path_factory):
    """A function: what calls give on this machine, with AVX2."""
    if "avx2" not in [level.name for level in processor.levels()]:
        pytest.skip("needs AVX2, which fuses products with sums as aarch64 does")
    program = tmp_path_factory.mktemp("here") / "call_kernels"
    command = ["env", "DETKIT_ISA=avx2", program]
    kernel_calls.link(compiling.find_compiler(), built_library, program)
    return functools.partial(kernel_calls.results, command)


@pytest.fixture(scope="module")
def made():
    """{function that draws them: calls}."""
    return {draw: list(draw(np.random.default_rng(7))) for draw in EXACT + ROUNDED}


@pytest.fixture(scope="module")
def found(made, arm):
    return by_draw(made, arm)


@pytest.fixture(scope="module")
def expected(made, here):
    return by_draw(made, here)


def by_draw(made, results, **options):
    """{function that drew the calls: arrays of all}; each call has to succeed."""
    left, found = iter(results(sum(made.values(), []), **options)), {}
    for draw, calls in made.items():
        found[draw] = []
        for call in calls:
            status, *arrays = next(left)
            assert status == 0, call.name
            found[draw] += arrays
    return found


def test_the_library_has_all_operators_and_one_build(arm, here):
    calls = [Call("initialize", (np.int32(10901),)), Call("_opRegSize", ()), Call("detkit_isa", ())]
    (accepted,), (operators,), (isa,) = arm(calls)
    assert (accepted, operators, isa) == (1, here(calls)[1][0], 0)
    assert operators >= 15


@pytest.mark.parametrize("draw", EXACT)
def test_the_same_bits(found, expected, draw):
    """Boxes are compared with each other, and cells are copied: nothing may round differently."""
    for array, other in zip(found[draw], expected[draw]):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("draw", ROUNDED)
def test_the_same_numbers(found, expected, draw):
    for array, other in zip(found[draw], expected[draw]):
        np.testing.assert_allclose(array, other, rtol=0, atol=TOLERANCE * np.abs(other).max())


def test_the_number_of_threads_changes_no_bit(made, found, arm):
    large = {draw: made[draw] for draw in LARGE}
    for draw, arrays in by_draw(large, arm, threads=3).items():
        for array, other in zip(arrays, found[draw]):
            np.testing.assert_array_equal(array, other)
