"""Stable sorting and the numbers of labels, made of MXNet's operators."""

import mxnet as mx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detkit.ops.fallback.arrays import descending, label_ids
from support import kernel_cases as cases


@given(cases.generators(), st.integers(1, 200))
def test_descending_is_stable(rng, count):
    keys = rng.integers(-2, 3, (2, count)) * rng.choice([1, 1e-40, 1e38], (2, count))
    keys = keys.astype("float32")
    found = descending(mx.nd, mx.nd.array(keys)).asnumpy()
    assert found.tolist() == np.argsort(-keys, axis=1, kind="stable").tolist()


@given(cases.generators(), st.integers(1, 40))
def test_label_ids_are_equal_where_labels_are(rng, count):
    labels = rng.choice(cases.LABELS, (2, count)).astype("float32")
    found = label_ids(mx.nd, mx.nd.array(labels)).asnumpy()
    same = labels[:, :, None] == labels[:, None]
    same |= np.isnan(labels)[:, :, None] & np.isnan(labels)[:, None]
    assert ((found[:, :, None] == found[:, None]) == same).all()
    assert (found >= 0).all()
