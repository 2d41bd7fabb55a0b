"""``detkit configs``: the configs of this folder and those that detkit ships, with their titles."""

from detkit import cli
from detkit.commands import line
from detkit.config.names import names_of
from support import tiny


def listed(capsys):
    assert cli.run(line.main, ["configs"]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_shipped_configs_are_listed_with_their_titles(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    head, *lines = listed(capsys)
    assert head == "shipped with detkit"
    assert [one.split()[0] for one in lines] == list(names_of(tiny.ROOT / "configs"))
    (ours,) = [one for one in lines if one.startswith("  faster_rcnn_vgg16 ")]
    assert ours.split(maxsplit=1)[1].startswith("Faster R-CNN with VGG16 (Ren et al. 2015) on")


def test_those_of_this_folder_come_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs/deep").mkdir(parents=True)
    (tmp_path / "configs/deep/mine.yaml").write_text("# My cats. More about them.\nseed: 1\n")
    (tmp_path / "configs/plain.yml").write_text("seed: 1\n")
    (tmp_path / "configs/odd.yaml").write_bytes(b"# \xff\xfe\x00 odd\n")
    lines = listed(capsys)
    assert lines[:2] == ["configs/ in this folder", "  deep/mine  My cats"]
    assert [one.split()[0] for one in lines[2:4]] == ["odd", "plain"]
    assert lines[4] == "shipped with detkit"


def test_in_the_checkout_they_are_listed_once(monkeypatch, capsys):
    monkeypatch.chdir(tiny.ROOT)
    names = [one.split()[0] for one in listed(capsys)]
    assert names.count("faster_rcnn_vgg16") == 1
