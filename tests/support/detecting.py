"""What a network finds, as numpy, and whether two findings agree."""

import mxnet as mx
import numpy as np

NAMES = ("boxes", "scores", "labels", "masks")


def detect(model, *batch):
    """The outputs of ``model`` for arrays, as numpy arrays."""
    return [array.asnumpy() for array in model(*map(mx.nd.array, batch))]


def assert_same(found, expected):
    for name, a, b in zip(NAMES, found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3, err_msg=name)


def agrees(model, *batch):
    """What ``model`` finds in a batch; hybridized, and in each row alone, it finds the same."""
    imperative = detect(model, *batch)
    model.hybridize()
    assert_same(detect(model, *batch), imperative)
    for row in range(len(batch[0])):
        alone = detect(model, *(array[row : row + 1] for array in batch))
        assert_same(alone, [array[row : row + 1] for array in imperative])
    return imperative


def exported(model, folder, *batch):
    """The graph that ``model`` is exported to after it has seen a batch, read again."""
    model.hybridize()
    detect(model, *batch)
    model.export(str(folder / "detector"))
    symbol, params = (str(folder / f"detector-{end}") for end in ("symbol.json", "0000.params"))
    names = [f"data{number}" for number in range(len(batch))]
    return mx.gluon.SymbolBlock.imports(symbol, names, params)
