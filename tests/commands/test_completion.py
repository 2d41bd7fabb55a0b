"""The completion of bash, by a scripted bash, and the text of zsh's."""

import shutil
import subprocess

import pytest

from detkit import cli
from detkit.commands import line

pytest.importorskip("shtab", reason="completion is written by shtab")

ASK = """
source completion.bash
words=("$@")
function=$(complete -p detkit | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1)) COMPREPLY=()
"$function" detkit "${words[-1]}" "${words[-2]}" 2> errors
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project with the script and a config."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "configs/mine").mkdir(parents=True)
    (folder / "configs/mine/cats.yaml").write_text("# Cats\n")
    (folder / "other.yaml").write_text("# Other\n")
    (folder / "other.txt").write_text("")
    (folder / "ask.bash").write_text(ASK)
    return folder


@pytest.fixture
def complete(folder, capsys):
    """A function from the words of a line to the completions of its last word."""
    if not shutil.which("bash"):
        pytest.skip("there is no bash")
    if not (folder / "completion.bash").exists():
        assert cli.run(line.main, ["completion", "bash"]) == 0
        (folder / "completion.bash").write_text(capsys.readouterr().out)

    def complete(*words):
        command = ["bash", "--norc", "ask.bash", "detkit", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return set(done.stdout.split())

    return complete


def test_commands(complete):
    assert complete("") == set(line.COMMANDS)
    assert complete("ex") == {"export"}


def test_options_and_their_choices(complete):
    assert complete("train", "--d") == {"--data", "--debug", "--dry-run"}
    assert complete("export", "--int8-for", "") == {"any", "vnni"}
    assert complete("completion", "") == {"bash", "zsh"}


def test_configs(complete):
    assert complete("train", "coco/mask_rcnn_r50_c") == {"coco/mask_rcnn_r50_c4"}
    assert complete("train", "mine/") == {"mine/cats"}
    assert "other.yaml" in complete("train", "oth")
    assert "other.txt" not in complete("train", "oth")


def test_folders(complete):
    assert complete("train", "other.yaml", "--work-dir", "con") == {"configs"}


def test_models_and_images(complete):
    assert complete("predict", "conf") == {"configs"}
    assert complete("label", "other.t") == {"other.txt"}
    assert complete("label", "--to", "") == {"cvat", "labelstudio", "labelme"}


def test_the_script_of_zsh_names_commands_options_and_configs(capsys):
    assert cli.run(line.main, ["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef detkit")
    for part in (*line.COMMANDS, "--dry-run", "coco/mask_rcnn_r50_c4", ":_detkit_configs"):
        assert part in script
