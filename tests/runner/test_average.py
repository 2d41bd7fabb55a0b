"""The moving average of the weights: its numbers, its use, and runs that go on with it."""

import json
import shutil
import signal

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

import detkit
from detkit.build import open_config
from detkit.build.training import Training
from detkit.checkpoints import load_checkpoint
from detkit.runner.average import Average
from support import tiny

EMA = "train.ema=0.7"
LAST = "checkpoints/step-00000006"
STATISTIC = "backbone.features.1.running_mean"


def trained_of(checkpoint):
    """The weights that were trained, by their names."""
    arrays = load_checkpoint(str(checkpoint)).optimizer
    prefix = "trained/"
    trained = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    return {name[len(prefix) :]: array.asnumpy() for name, array in trained.items()}


def averages_of(checkpoint):
    return {n: a.asnumpy() for n, a in load_checkpoint(str(checkpoint)).weights.items()}


def first_weights(config):
    named = Training(open_config(config)).model._collect_params_with_prefix()
    return {name: parameter.data().asnumpy() for name, parameter in named.items()}


def oracle(course, decay):
    """The averages of a course of weights {name: array}, the first of which is the beginning."""
    average = {name: course[0][name].astype(np.float64) for name in course[-1]}
    for number, weights in enumerate(course[1:]):
        keep = min(decay, (1 + number) / (10 + number))
        average = {name: keep * average[name] + (1 - keep) * weights[name] for name in weights}
    return average


def assert_close(found, expected):
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def averaged(config, tmp_path_factory):
    """The folder of a run with averages, of two epochs without interruption."""
    folder = tmp_path_factory.mktemp("averaged")
    assert tiny.train(config, folder, EMA) == 0
    return folder


# --- the averages ---------------------------------------------------------------------------------


def dense(seed):
    mx.random.seed(seed)
    block = nn.HybridSequential()
    block.add(nn.Dense(3, in_units=4), nn.BatchNorm(in_channels=3))
    block.initialize(mx.init.Normal(1))
    return block


@pytest.mark.parametrize("decay", [0.3, 0.9998])
def test_the_average_of_many_updates_is_the_oracles(decay):
    trained, other = dense(1), dense(2)
    named = trained._collect_params_with_prefix()
    average = Average(trained, other, decay)
    course = [{name: parameter.data().asnumpy() for name, parameter in named.items()}]
    for _ in range(40):
        for parameter in named.values():
            parameter.set_data(mx.nd.random.normal(shape=parameter.shape))
        average.update()
        course.append({name: parameter.data().asnumpy() for name, parameter in named.items()})
    found = {n: p.data().asnumpy() for n, p in other._collect_params_with_prefix().items()}
    assert_close(found, oracle(course, decay))
    assert average.state()["averaged"].asscalar() == 40
    assert all(parameter.grad_req == "null" for parameter in other.collect_params().values())


def test_the_average_of_a_frozen_weight_is_the_weight_bit_for_bit():
    trained, other = dense(1), dense(2)
    average = Average(trained, other, 0.9998)
    for _ in range(50):
        average.update()
    for name, parameter in trained._collect_params_with_prefix().items():
        mean = other._collect_params_with_prefix()[name].data().asnumpy()
        np.testing.assert_array_equal(parameter.data().asnumpy(), mean, name)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_averages_of_a_run_are_the_oracles(config, tmp_path, accumulate):
    """An evaluation after each step reorders the averages in MXNet, which must not matter."""
    every = ("train.checkpoint_every={steps: 1}", "train.evaluate_every={steps: 1}")
    chosen = (EMA, *every, "train.keep=9", "train.val_loss=true", f"train.accumulate={accumulate}")
    assert tiny.train(config, tmp_path, *chosen) == 0
    updates = range(accumulate, 7, accumulate)
    course = [first_weights(config)]
    for step in updates:
        folder = tmp_path / f"checkpoints/step-{step:08d}"
        course.append(trained_of(folder))
        assert STATISTIC in course[-1]
        assert_close(averages_of(folder), oracle(course, 0.7))
    assert load_checkpoint(str(folder)).optimizer["averaged"].asscalar() == len(updates)


def test_the_training_is_the_one_without_averages(reference, averaged):
    weights = averages_of(reference / LAST)
    trained, average = trained_of(averaged / LAST), averages_of(averaged / LAST)
    assert STATISTIC in trained
    for name, array in trained.items():
        np.testing.assert_array_equal(array, weights[name], name)
    assert (average["rpn_head.deltas.weight"] != weights["rpn_head.deltas.weight"]).any()
    assert average.keys() == weights.keys()


def test_the_averages_are_evaluated_and_loaded(config, averaged, tmp_path):
    """A detector of the checkpoint has the metrics that the run found."""
    detector = detkit.load(config, str(averaged / LAST), device="cpu")
    named = detector.model._collect_params_with_prefix()
    for name, array in averages_of(averaged / LAST).items():
        np.testing.assert_array_equal(named[name].data().asnumpy(), array, name)
    assert tiny.tool("test", config, averaged / LAST, "--work-dir", tmp_path) == 0
    results = [json.loads((folder / "result.json").read_text()) for folder in (averaged, tmp_path)]
    assert results[1].pop("split") == "val"
    assert results[0] == {name: results[1][name] for name in results[0]}


def test_a_validation_loss_is_that_of_the_averages(config, averaged, tmp_path):
    assert tiny.train(config, tmp_path, EMA, "train.val_loss=true") == 0
    tiny.assert_same_checkpoint(averaged / LAST, tmp_path / LAST)
    training = Training(open_config(config, ("train.val_loss=true",)))
    for name, array in averages_of(averaged / LAST).items():
        training.model._collect_params_with_prefix()[name].set_data(mx.nd.array(array))
    record = tiny.records(tmp_path, "val_loss")[-1]
    assert {name: record[name] for name in training.val_loss()} == training.val_loss()


def test_an_update_of_the_averages_waits_for_nothing(monkeypatch):
    average = Average(dense(1), dense(2), 0.9)

    def waits(*_, **__):
        raise AssertionError("the average waits for the device")

    with monkeypatch.context() as patched:
        for name in ("asnumpy", "asscalar", "wait_to_read", "__bool__"):
            patched.setattr(mx.nd.NDArray, name, waits)
        average.update()


# --- runs that go on ------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_stopped_run_goes_on_bit_for_bit(config, averaged, tmp_path, step):
    assert tiny.train(config, tmp_path, EMA, tiny.hook("SignalAt", step=step)) == 143
    assert tiny.train(config, tmp_path, EMA, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(averaged / LAST, tmp_path / LAST)
    results = [json.loads((run / "result.json").read_text()) for run in (averaged, tmp_path)]
    assert results[0] == results[1]


def test_a_run_goes_on_within_an_accumulation(config, tmp_path):
    chosen = (EMA, "train.accumulate=2", "train.optimizer={type: Adam}")
    assert tiny.train(config, tmp_path / "whole", *chosen) == 0
    stopped = (*chosen, tiny.hook("SignalAt", step=3))
    assert tiny.train(config, tmp_path / "parts", *stopped) == 143
    assert tiny.train(config, tmp_path / "parts", *chosen, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(tmp_path / "whole" / LAST, tmp_path / "parts" / LAST)


def test_a_run_killed_while_it_saved_goes_on(config, averaged, tmp_path):
    """The averages of the second checkpoint are written, the weights that are trained are not."""
    dying = tiny.hook("DieWhileSaving", function="mx.nd.save", call=4)
    killed = tiny.spawn("train", config, "--work-dir", tmp_path, "--set", EMA, dying)
    assert killed.returncode == -signal.SIGKILL
    assert tiny.train(config, tmp_path, EMA, resume="auto", force=True) == 0
    tiny.assert_same_checkpoint(averaged / LAST, tmp_path / LAST)
    assert tiny.best(tmp_path).name == tiny.best(averaged).name


def test_a_run_without_averages_goes_on_from_the_trained_weights(config, reference, tmp_path):
    assert tiny.train(config, tmp_path, EMA, "train.epochs=1") == 0
    assert tiny.train(config, tmp_path, resume="auto", force=True) == 0
    weights = averages_of(reference / LAST)
    for name, array in averages_of(tmp_path / LAST).items():
        np.testing.assert_array_equal(array, weights[name], name)
    assert trained_of(tmp_path / LAST) == {}


def test_averages_may_begin_in_a_resumed_run(config, reference, tmp_path):
    shutil.copytree(reference, tmp_path, symlinks=True, dirs_exist_ok=True)
    chosen = (EMA, "train.epochs=3", "train.checkpoint_every={steps: 1}", "train.keep=9")
    assert tiny.train(config, tmp_path, *chosen, resume="auto", force=True) == 0
    folders = [tmp_path / f"checkpoints/step-{step:08d}" for step in (7, 8, 9)]
    course = [averages_of(reference / LAST), *map(trained_of, folders)]
    assert_close(averages_of(tmp_path / "checkpoints/step-00000009"), oracle(course, 0.7))


def test_a_new_run_starts_from_the_averages(config, averaged, tmp_path):
    """Its first average is what it starts from, and its training as well."""
    start = f"train.start_from={averaged / LAST}"
    stopped = tiny.hook("SignalAt", step=1)
    assert tiny.train(config, tmp_path, EMA, start, stopped) == 143
    checkpoint = tmp_path / "checkpoints/step-00000001"
    trained = trained_of(checkpoint)
    began = averages_of(averaged / LAST)
    assert_close(averages_of(checkpoint), oracle([began, trained], 0.7))


def test_another_decay_needs_force(config, averaged, tmp_path, capsys):
    shutil.copytree(averaged, tmp_path, symlinks=True, dirs_exist_ok=True)
    arguments = (config, "--work-dir", tmp_path, "--resume", "auto")
    message = tiny.refused(capsys, "train", *arguments, "--set", "train.ema=0.9")
    tiny.assert_says(message, "train.ema: 0.7 in the checkpoint, 0.9 now", "--force")


# --- what is refused ------------------------------------------------------------------------------


def test_trained_weights_that_are_not_finite_are_not_saved(config, tmp_path, capsys):
    spoilt = tiny.hook("Spoil", step=6, after="true")  # after the averages of the step
    assert tiny.train(config, tmp_path, EMA, spoilt) == 1
    tiny.assert_says(capsys.readouterr().err, "step 6", "finite", "weights")
    assert tiny.checkpoints(tmp_path) == ["best", "step-00000003"]


def test_an_earlier_detkit_refuses_averages(reference, averaged):
    """It reads format 1 alone, and would go on from the averages."""
    formats = [json.loads((run / LAST / "state.json").read_text()) for run in (reference, averaged)]
    assert [state["format"] for state in formats] == [1, 2]


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        (lambda a: a.pop("trained/rpn_head.deltas.bias"), ["1 missing", "rpn_head.deltas.bias"]),
        (lambda a: a.update(averaged=mx.nd.array([-10])), ["averaged", "updates", "-10"]),
        (lambda a: a.update(averaged=mx.nd.array([float("nan")])), ["averaged", "nan"]),
        (lambda a: a.update(averaged=mx.nd.array([1, 2])), ["averaged", "(1,)", "(2,)"]),
        (lambda a: a.update({"trained/x": mx.nd.array([1])}), ["another network", "'x'"]),
        (
            lambda a: a.update({f"trained/{STATISTIC}": mx.nd.array([1])}),
            [f"trained/{STATISTIC}", "(16,)", "(1,)"],
        ),
    ],
    ids=["missing", "negative", "nan", "two", "unknown", "shape"],
)
def test_a_hostile_state_is_refused(config, averaged, tmp_path, capsys, change, fragments):
    checkpoint = shutil.copytree(averaged / LAST, tmp_path / "step-00000006")
    arrays = mx.nd.load(str(checkpoint / "optimizer.params"))
    change(arrays)
    mx.nd.save(str(checkpoint / "optimizer.params"), arrays)
    tiny.rewrite(checkpoint, "optimizer.params", (checkpoint / "optimizer.params").read_bytes())
    resumed = ("--work-dir", tmp_path / "new", "--resume", checkpoint, "--set", EMA)
    message = tiny.refused(capsys, "train", config, *resumed)
    tiny.assert_says(message, "step-00000006: ", *fragments)


@pytest.mark.parametrize("value", ["1", "-0.1", ".nan"])
def test_a_decay_is_below_one(refused, value):
    message = refused("train", "configs/tiny.yaml", "--set", f"train.ema={value}")
    tiny.assert_says(message, "train.ema", "at least 0", "below 1")
