"""A resumed run with a changed config: what changes its meaning is refused, and all is listed."""

import shutil

import pytest
import yaml

from detkit.build.resume import check_changes
from detkit.plugins import copies_of
from support import tiny

REFUSED = {
    "train.lr=0.02": ("train.lr", "0.01", "0.02"),
    "seed=4": ("seed", "3", "4"),
    "train.batch_size=2": ("train.batch_size", "4", "2"),
    "data.train.length=16": ("data.train.length", "12", "16"),
    "data.train.seed=7": ("data.train.seed", "1", "7"),
    "data.val.seed=7": ("data.val.seed", "2", "7"),
    "model.anchors.sizes=[12, 30]": ("model.anchors.sizes.1", "24", "30"),
    "train.ema=0.9": ("train.ema", "not set", "0.9"),
    "train.momentum=0.8": ("train.momentum", "not set", "0.8"),
    "train.optimizer={type: Adam}": ("train.optimizer", "not set", "Adam"),
    "train.schedule.drops=[2]": ("train.schedule.drops.0", "1", "2"),
    "model.roi_extractor.type=RoIPool": ("model.roi_extractor.type", "RoIAlign", "RoIPool"),
    "evaluate.type=COCOEvaluator": ("evaluate.type", "VOCEvaluator", "COCOEvaluator"),
    "train_step.rpn_targets.sampler.size=8": ("train_step.rpn_targets.sampler.size", "16", "8"),
    "train.epochs=1": ("train.epochs", "2", "1"),
    "train.hooks=[{type: Draw}]": ("train.hooks", "not set", "Draw"),
}
ACCEPTED = {
    "data.workers=2": ("data.workers", "0", "2"),
    "train.epochs=3": ("train.epochs", "2", "3"),
    "train.log_every=3": ("train.log_every", "2", "3"),
    "train.pictures=0": ("train.pictures", "2", "0"),
    "train.batch_pictures=0": ("train.batch_pictures", "not set", "0"),
    "train.patience=9": ("train.patience", "not set", "9"),
    "train.val_loss=true": ("train.val_loss", "not set", "true"),
    "train.keep=5": ("train.keep", "not set", "5"),
    "train.device=cpu": ("train.device", "not set", "cpu"),
    "train.evaluate_every={steps: 2}": ("train.evaluate_every", "not set", "steps"),
    "tta={flips: [vertical]}": ("tta", "not set", "vertical"),
    "train.checkpoint_every=2": ("train.checkpoint_every", "not set", "2"),
}


TRACKED = [{"type": "WandB"}, {"type": "TensorBoard", "folder": "events"}]
DRAWING = {"type": "Draw"}


@pytest.mark.parametrize(
    ("hooks", "harmless"),
    [
        (TRACKED, True),
        ([], True),
        ([*TRACKED, DRAWING], False),
        ([DRAWING, DRAWING], False),
        ([3], False),
    ],
)
def test_hooks_that_only_send_numbers_elsewhere_may_change(reference, hooks, harmless):
    config = yaml.safe_load((reference / "config.yaml").read_text())
    config["train"]["hooks"] = hooks
    checkpoint = str(reference / "checkpoints/step-00000006")
    plugins = copies_of([str(path) for path in (reference / "plugins").rglob("*.py")])
    changes = check_changes(checkpoint, yaml.safe_dump(config), plugins, force=True)
    found = [change.harmless for change in changes if change.key == "train.hooks"]
    assert found == [harmless]


@pytest.fixture
def run(reference, tmp_path):
    return shutil.copytree(reference, tmp_path / "run", symlinks=True)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def resumed(config, run, *overrides):
    return (config, "--work-dir", run, "--resume", "auto", "--set", *overrides)


@pytest.mark.parametrize("override", REFUSED)
def test_a_changed_meaning_is_refused(config, run, capsys, override):
    before = files(run)
    message = tiny.refused(capsys, "train", *resumed(config, run, override, "data.workers=1"))
    tiny.assert_says(message, "checkpoints/step-00000006: ", *REFUSED[override], "--force")
    tiny.assert_says(message, "data.workers: 0", "1 now")
    assert files(run) == before


@pytest.mark.parametrize("override", ACCEPTED)
def test_other_changes_are_listed(config, run, capsys, override):
    assert tiny.train(config, run, override, resume="auto") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "changed config" in line)
    tiny.assert_says(line, *ACCEPTED[override])
    assert f"{ACCEPTED[override][0]}: " in (tiny.records(run, "changed_config")[0]["change"])


def test_force_lists_and_accepts(config, run, capsys):
    changes = ("train.lr=0.02", "train.epochs=3")
    assert tiny.train(config, run, *changes, resume="auto", force=True) == 0
    tiny.assert_says(capsys.readouterr().out, "train.lr: 0.01", "0.02", "train.epochs: 2", "3")
    assert "lr: 0.02" in (run / "config.yaml").read_text()
    assert len(tiny.records(run, "changed_config")) == 2


def test_an_unchanged_config_changes_nothing(config, run, capsys):
    assert tiny.train(config, run, resume="auto") == 0
    assert "changed config" not in capsys.readouterr().out
    assert tiny.records(run, "changed_config") == []


def test_force_needs_a_run_to_resume(config, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tiny.tool("train", config, "--work-dir", tmp_path / "new", "--force")
    tiny.assert_says(capsys.readouterr().err, "--force", "--resume")


# --- plugins --------------------------------------------------------------------------------------


@pytest.fixture
def project(run, config, tmp_path):
    """The project of the run, elsewhere, and the run: a config and a folder."""
    shutil.copytree(config.parent.parent, tmp_path / "project")
    return tmp_path / "project/configs/tiny.yaml", run


def plugin_of(config):
    return config.parent.parent / "plugins/tiny.py"


def test_a_changed_plugin_is_refused_and_named(project, capsys):
    config, run = project
    before = files(run)
    plugin_of(config).write_text(tiny.PLUGIN.replace("nn.BatchNorm(in_channels=16)", "nn.ELU()"))
    message = tiny.refused(capsys, "train", *resumed(config, run, "train.keep=5"))
    tiny.assert_says(message, "plugins: tiny.py: the file has changed since the checkpoint")
    tiny.assert_says(message, "checkpoints/step-00000006: ", "--force", "accepted:", "train.keep")
    assert files(run) == before


def test_force_accepts_a_changed_plugin_and_copies_it(project, capsys):
    config, run = project
    (old,) = run.glob("plugins/*/tiny.py")
    changed = f"{tiny.PLUGIN}\n# changed\n"
    plugin_of(config).write_text(changed)
    assert tiny.train(config, run, "train.epochs=3", resume="auto", force=True) == 0
    assert "changed config: plugins: tiny.py: " in capsys.readouterr().out
    (new,) = (run / "checkpoints/step-00000009").glob("plugins/*/tiny.py")
    assert new.read_text() == changed
    assert new.relative_to(new.parents[2]).as_posix() in (run / "config.yaml").read_text()
    assert old.read_text() == tiny.PLUGIN  # that of the earlier checkpoints
    assert tiny.train(run / "config.yaml", run, resume="auto") == 0
    assert "changed config" not in capsys.readouterr().out


def test_a_further_plugin_is_listed(project, capsys):
    config, run = project
    plugin_of(config).with_name("other.py").write_text("")
    assert tiny.train(config, run, resume="auto") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "changed config" in line)
    tiny.assert_says(
        line, "plugins: ", '["tiny.py"] in the checkpoint, ["other.py", "tiny.py"] now'
    )


def test_a_run_of_an_earlier_detkit_lists_absolute_paths(project, capsys):
    config, run = project
    last = run / "checkpoints/step-00000006"
    shutil.rmtree(last / "plugins")
    text = (last / "config.yaml").read_text()
    (entry,) = (line for line in text.splitlines() if line.startswith("plugins: "))
    old = text.replace(entry, f"plugins: [{plugin_of(config)}]")
    sums = (last / "SHA256SUMS").read_text().splitlines()
    (last / "SHA256SUMS").write_text("\n".join(sums[:4]) + "\n")
    tiny.rewrite(last, "config.yaml", old.encode())
    (run / "config.yaml").write_text(old)
    assert tiny.tool("test", run / "config.yaml", last) == 0
    assert tiny.train(run / "config.yaml", run, resume="auto") == 0
    assert "changed config: plugins.0: " in capsys.readouterr().out
    assert str(plugin_of(config)) not in (run / "config.yaml").read_text()
