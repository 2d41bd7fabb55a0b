"""Clients of the services that a run can be sent to, which note what arrives."""

import functools
import signal
import sys
import types
from collections import namedtuple


class Service:
    """A service: the calls of its client, each (name, what was given), and the numbers.

    fails: the numbers of the calls that raise ConnectionError, as without a network.
    """

    def __init__(self):
        self.calls, self.fails = [], ()
        self.steps = {}  # {name: [(step, value), ...]}

    def note(self, name, *given, **named):
        self.calls.append((name, *given, named) if named else (name, *given))
        if len(self.calls) in self.fails:
            raise ConnectionError("no route to the server")

    def number(self, name, step, value):
        self.steps.setdefault(name, []).append((step, value))

    def named(self, name):
        """What the calls of one name were given."""
        return [call[1:] for call in self.calls if call[0] == name]


def install(monkeypatch, name, **attributes):
    """Puts a module into sys.modules."""
    module = types.ModuleType(name)
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, name, module)


def wandb(monkeypatch):
    """W&B as a Service: init, define_metric, picture, finish."""
    service = Service()

    class Run:
        def __init__(self, known):
            self.id = known or f"run{len(service.named('init'))}"

        def define_metric(self, *given, **named):
            service.note("define_metric", *given, **named)

        def log(self, values):
            service.note("log")
            values = dict(values)
            step, picture = values.pop("step"), values.pop("detections", None)
            if picture:
                service.note("picture", picture, step)
            for name, value in values.items():
                service.number(name, step, value)

        def finish(self, exit_code):
            service.note("finish", exit_code)

    def init(**options):
        service.note("init", options)
        return Run(options["id"])

    install(monkeypatch, "wandb", init=init, Image=str)
    return service


class MlflowClient:
    """A client of MLflow, which calls its Service: client, experiment, create_run, ..."""

    def __init__(self, service, tracking_uri):
        self.service = service
        service.note("client", tracking_uri)

    def get_experiment_by_name(self, name):
        self.service.note("experiment", name)

    def create_experiment(self, name):
        return f"id of {name}"

    def create_run(self, experiment, run_name):
        self.service.note("create_run", experiment, run_name)
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="run1"))

    def update_run(self, run, status):
        self.service.note("update_run", run, status)

    def log_batch(self, run, metrics=(), params=()):
        assert len(params) <= 100
        self.service.note("params", params)
        for metric in metrics:
            assert 1.5e12 < metric.timestamp < 1e13  # milliseconds
            self.service.number(metric.key, metric.step, metric.value)

    def log_artifact(self, run, path, place):
        self.service.note("picture", path)

    def set_terminated(self, run, status):
        self.service.note("end", run, status)


def mlflow(monkeypatch):
    """MLflow as a Service."""
    service = Service()
    entities = types.SimpleNamespace(
        Param=namedtuple("Param", "key value"),
        Metric=namedtuple("Metric", "key value timestamp step"),
    )
    client = functools.partial(MlflowClient, service)
    install(monkeypatch, "mlflow", MlflowClient=client, entities=entities)
    return service


class Task:
    """A task of ClearML and its logger, which call their Service: first, config, picture, ..."""

    def __init__(self, service, known=None):
        self.service, self.id = service, known or "task1"

    def set_initial_iteration(self, number):
        self.service.note("first", number)

    def set_parameters_as_dict(self, config):
        self.service.note("config", config)

    def get_logger(self):
        return self

    def report_scalar(self, title, series, value, iteration):
        self.service.note("scalar")
        self.service.number(f"{title}/{series}", iteration, value)

    def report_image(self, title, series, iteration, local_path):
        self.service.note("picture", local_path, iteration)

    def flush(self, wait_for_uploads):
        self.service.note("flush", wait_for_uploads)

    def close(self):
        self.service.note("close")

    def mark_failed(self, force):
        self.service.note("mark", "failed", self.id)

    def mark_stopped(self, force):
        self.service.note("mark", "stopped", self.id)


def clearml(monkeypatch):
    """ClearML as a Service, whose client takes over the signals, as ClearML's does."""
    service = Service()

    def init(**options):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        service.note("init", options)
        return Task(service, options["continue_last_task"])

    def get_task(task_id):
        return Task(service, task_id)

    tasks = types.SimpleNamespace(init=init, get_task=get_task)
    install(monkeypatch, "clearml", Task=tasks)
    return service


def tensorboard(monkeypatch):
    """TensorBoard as a Service: open, text, picture, close."""
    service = Service()

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            service.note("open", folder, purge_step)

        def add_text(self, name, text, step=None):
            service.note("text", name, text)

        def add_scalar(self, name, value, step):
            service.note("scalar")
            service.number(name, step, value)

        def add_image(self, name, pixels, step, dataformats):
            assert dataformats == "HWC"
            service.note("picture", pixels, step)

        def flush(self):
            pass

        def close(self):
            service.note("close")

    install(monkeypatch, "tensorboardX", SummaryWriter=SummaryWriter)
    return service
