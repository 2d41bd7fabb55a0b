"""Files that grow: complete under their name, or whole lines under another one."""

import json

import pytest

from detkit.errors import DataError
from detkit.predictions.saves.growing import GrowingFile, GrowingList, write_whole


def test_a_file_has_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "deep/found.txt"
    file = GrowingFile(path)
    file.write("größe\n")
    assert [each.name for each in path.parent.iterdir()] == ["found.txt.part"]
    file.write("half \udcff\n")
    file.close()
    assert path.read_text(encoding="utf-8") == "größe\nhalf ?\n"
    assert [each.name for each in path.parent.iterdir()] == ["found.txt"]
    again = GrowingFile(path)  # replaces it at the end, and not before
    assert path.exists()
    again.close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_is_json(tmp_path, count):
    path = tmp_path / "list.json"
    entries = GrowingList(path)
    for number in range(count):
        entries.add(json.dumps({"n": number}))
    assert entries.count == count
    entries.close()
    assert json.loads(path.read_text()) == [{"n": number} for number in range(count)]
    assert len(path.read_text().splitlines()) == count + 2


def test_a_file_is_appended_to_another(tmp_path):
    one, other = GrowingFile(tmp_path / "one"), GrowingFile(tmp_path / "other")
    one.write("first ")
    other.write("größe" * 400_000)
    other.close_into(one)
    one.close()
    assert (tmp_path / "one").read_text(encoding="utf-8") == "first " + "größe" * 400_000
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    for write in (GrowingFile, lambda path: write_whole(path, "text")):
        with pytest.raises(DataError) as caught:
            write(tmp_path / "file/x.txt")
        assert str(caught.value).startswith(f"{tmp_path}/file/x.txt: cannot be written: ")
