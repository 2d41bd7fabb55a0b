"""The files beside checkpoints that name one of them."""

import pytest

from detkit.checkpoints import load_checkpoint
from detkit.errors import CheckpointError
from support.checkpoints import assert_holds, save, trained


def test_a_file_names_the_checkpoint_beside_it(tmp_path):
    pair = trained()
    save(tmp_path / "step-7", pair)
    name = tmp_path / "mine"
    name.write_text('{"checkpoint": "step-7"}')
    assert assert_holds(name, pair).path == str(tmp_path / "step-7")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "step-7",
        "[" * 90_000,
        "{}",
        '{"checkpoint": 7}',
        '{"checkpoint": ""}',
        '{"checkpoint": ".."}',
        '{"checkpoint": "../step-7"}',
        '{"checkpoint": "/step-7"}',
    ],
)
def test_a_file_that_names_none_is_refused(tmp_path, text):
    save(tmp_path / "step-7", trained())
    (tmp_path / "best").write_text(text)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(str(tmp_path / "best"))
    assert str(caught.value).startswith(f"{tmp_path}/best: expected a checkpoint, ")
