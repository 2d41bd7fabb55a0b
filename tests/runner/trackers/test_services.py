"""What arrives at each service, of a training that is interrupted and of the one that resumes."""

import json

import numpy as np
import pytest

from detkit.files.run_log import numbers_of, read_series
from detkit.registry import HOOKS
from detkit.runner.trackers.tracker import About
from support import tiny, trackers

SERVICES = {
    "ClearML": trackers.clearml,
    "MLflow": trackers.mlflow,
    "TensorBoard": trackers.tensorboard,
    "WandB": trackers.wandb,
}
ALL = ", ".join(f"{{type: {kind}}}" for kind in SERVICES)
CHOSEN = ("train.val_loss=true", "train.log_every=1", "train.pictures=1")


def run(folder, hooks, resume=None):
    """A training with the services' hooks; the exit status."""
    config = folder / "configs/tiny.yaml"
    options = (*CHOSEN, f"train.hooks=[{hooks}]")
    return tiny.train(config, folder / "mine", *options, resume=resume, force=True)


@pytest.fixture(scope="module")
def arrived(tmp_path_factory):
    """The services, and the run's folder: it was stopped after step 4, and resumed."""
    folder = tmp_path_factory.mktemp("services")
    tiny.project(folder)
    with pytest.MonkeyPatch.context() as patch:
        services = {kind: make(patch) for kind, make in SERVICES.items()}
        for service in services.values():
            service.fails = (5,)
        assert run(folder, f"{ALL}, {{type: SignalAt, step: 4}}") == 143
        assert run(folder, ALL, resume="auto") == 0
    return services, folder / "mine"


@pytest.mark.parametrize("kind", SERVICES)
def test_every_number_of_the_log_arrives_at_its_step(arrived, kind):
    services, folder = arrived
    found = services[kind].steps
    expected = read_series(folder / "log.jsonl")
    assert {"train/loss", "train/rpn_box", "train/lr", "val/loss", "metrics/AP50"} <= set(expected)
    assert sum(name.startswith("per_class/") for name in expected) == 3
    assert set(found) == set(expected)
    for name, series in expected.items():
        # What was sent when the service failed is sent again.
        assert sorted(set(found[name])) == list(zip(*series)), name
    assert [step for step, _ in sorted(set(found["train/loss"]))] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", SERVICES)
def test_a_picture_of_each_evaluation_arrives(arrived, kind):
    services, folder = arrived
    pictures = services[kind].named("picture")
    if kind == "TensorBoard":
        assert all(pixels.shape == (320, 320, 3) for pixels, _ in pictures)
        assert all(pixels.dtype == np.uint8 for pixels, _ in pictures)
    else:
        paths = [str(folder / f"pictures/epoch-00{number}.png") for number in (1, 2)]
        assert [given[0] for given in pictures] == paths
    assert len(pictures) == 2


def test_weights_and_biases(arrived):
    service = arrived[0]["WandB"]
    (first,), (second,) = service.named("init")
    assert (first["id"], second["id"]) == (None, "run1")
    assert first["resume"] == second["resume"] == "allow"
    assert first["name"] == "mine"
    assert first["config"]["model.backbone.type"] == "TinyBackbone"
    assert first["config"]["train.lr"] == 0.01
    assert second["config"] is None
    assert service.named("finish") == [(255,), (0,)]


def test_mlflow(arrived):
    service = arrived[0]["MLflow"]
    assert service.named("create_run") == [("id of detkit", "mine")]
    assert service.named("update_run") == [("run1", "RUNNING")]
    params = {param.key: param.value for (batch,) in service.named("params") for param in batch}
    assert params["train.lr"] == "0.01"
    assert service.named("end") == [("run1", "KILLED"), ("run1", "FINISHED")]


def test_clearml(arrived):
    service = arrived[0]["ClearML"]
    (first,), (second,) = service.named("init")
    assert (first["continue_last_task"], second["continue_last_task"]) == (False, "task1")
    assert (first["project_name"], first["task_name"]) == ("detkit", "mine")
    assert service.named("first") == [(0,), (0,)]
    ((config,),) = service.named("config")
    assert config["train.lr"] == 0.01
    assert len(service.named("close")) == 2
    assert service.named("mark") == [("stopped", "task1")]


def test_tensorboard(arrived):
    services, folder = arrived
    service = services["TensorBoard"]
    assert service.named("open") == [
        (str(folder / "tensorboard"), None),
        (str(folder / "tensorboard"), 5),
    ]
    texts = service.named("text")
    assert [name for name, _ in texts] == ["config", "status", "status"]
    assert "| train.lr | 0.01 |" in texts[0][1]
    assert [text for _, text in texts[1:]] == ["stopped", "finished"]


def test_the_ids_are_kept(arrived):
    kept = json.loads((arrived[1] / "trackers.json").read_text())
    ids = {key: entry["id"] for key, entry in kept.items()}
    assert ids == {
        "ClearML detkit": "task1",
        "MLflow detkit": "run1",
        "TensorBoard": "tensorboard",
        "WandB detkit": "run1",
    }


def test_names_that_mlflow_refuses_are_spelt_in_codes(monkeypatch):
    service = trackers.mlflow(monkeypatch)
    hook = HOOKS.build({"type": "MLflow", "uri": "http://here"})
    hook.open(About("mine", "", {"a:b": "x" * 600}, None, 0))
    record = {"kind": "evaluate", "step": 3, "per_class": {"été (1)": 0.5, "a/b": 0.25}}
    hook.numbers(numbers_of(record), 3)
    assert service.named("client") == [("http://here",)]
    ((param,),) = service.named("params")[0]
    assert (param.key, len(param.value)) == ("a_3ab", 500)
    assert service.steps == {
        "per_class/_e9t_e9 _281_29": [(3, 0.5)],
        "per_class/a_b": [(3, 0.25)],
    }


def test_tensorboards_own_events_are_read_back(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    config = tiny.project(tmp_path)
    hooks = "train.hooks=[{type: TensorBoard}]"
    assert tiny.train(config, tmp_path / "mine", "train.epochs=1", *CHOSEN, hooks) == 0
    (file,) = (tmp_path / "mine/tensorboard").iterdir()
    data, values, pictures = file.read_bytes(), {}, []
    while data:  # TFRecord: the length, its sum, the event, its sum
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        for value in event.summary.value:
            if value.HasField("image"):
                pictures.append((event.step, value.image.height, value.image.width))
            elif not value.HasField("tensor"):
                values.setdefault(value.tag, []).append((event.step, value.simple_value))
        data = data[16 + length :]
    for name, series in read_series(tmp_path / "mine/log.jsonl").items():
        expected = [(step, np.float32(value)) for step, value in zip(*series)]
        assert values[name] == expected, name
    assert pictures == [(3, 320, 320)]
