"""The sums of a checkpoint's files: damage is named, and a folder without them is no checkpoint."""

import pytest

from detkit.checkpoints import Origin, find_checkpoints, load_checkpoint
from detkit.errors import CheckpointError
from support.checkpoints import save, trained

FILES = ["SHA256SUMS", "config.yaml", "optimizer.params", "state.json", "weights.params"]


def test_the_sums_are_those_of_sha256sum(tmp_path):
    save(tmp_path / "a", trained())
    listed = (tmp_path / "a" / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in listed} == set(FILES) - {"SHA256SUMS"}
    assert {len(line.split("  ")[0]) for line in listed} == {64}


@pytest.mark.parametrize("name", [file for file in FILES if file != "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_file_is_named(tmp_path, name, damage):
    save(tmp_path / "a", trained())
    file = tmp_path / "a" / name
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    file.write_bytes(data[:-1] if damage == "cut" else data)
    if damage == "remove":
        file.unlink()
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(str(tmp_path / "a"))
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "sha256 in SHA256SUMS" in message
    assert "use another" in message


@pytest.mark.parametrize("sums", [None, "", "not a line of sums and names\n", "\xff"])
def test_a_half_written_folder_is_no_checkpoint(tmp_path, sums):
    save(tmp_path / "step-1", trained())
    file = tmp_path / "step-1/SHA256SUMS"
    file.unlink()
    if sums is not None:
        file.write_bytes(sums.encode("latin-1"))
    else:
        assert find_checkpoints(str(tmp_path)) == []
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(str(tmp_path / "step-1"))
    assert str(tmp_path / "step-1") in str(caught.value)
    assert "use another" in str(caught.value)


COPIES = {"plugins/0123456789ab/a b.py": b"x = 1\n", "plugins/0123456789ab/lab/c.py": b""}


def test_plugins_are_part_of_a_checkpoint(tmp_path):
    save(tmp_path / "a", trained(), origin=Origin("seed: 1\n", COPIES))
    for name, data in COPIES.items():
        assert (tmp_path / "a" / name).read_bytes() == data
    load_checkpoint(str(tmp_path / "a"))
    plugin = tmp_path / "a/plugins/0123456789ab/a b.py"
    plugin.write_text("x = 2\n")
    with pytest.raises(CheckpointError, match=f"{plugin}: expected the file with the sha256"):
        load_checkpoint(str(tmp_path / "a"))


@pytest.mark.parametrize(
    "name",
    [
        "plugins/0123456789ab/../../../secret.py",
        "plugins/0123456789ab/..",
        "plugins/../secret.py",
        "plugins/secret.py",
        "../secret.py",
        "/etc/passwd",
    ],
)
def test_no_other_file_is_read(tmp_path, name):
    save(tmp_path / "a", trained())
    (tmp_path / "secret.py").write_text("")
    with open(tmp_path / "a/SHA256SUMS", "a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(str(tmp_path / "a"))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/a: SHA256SUMS: expected the names of ")
    assert f"found {name!r}" in message
