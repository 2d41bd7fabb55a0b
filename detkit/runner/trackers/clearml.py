"""ClearML."""

from typing import Mapping, Optional

from detkit.registry import HOOKS
from detkit.runner.interrupt import handlers_kept
from detkit.runner.trackers.tracker import FAILED, STOPPED, About, Tracker, client

# What ClearML would follow. Git, in a thread, may never return in a process with MXNet.
FOLLOWED = (
    *("detect_repository", "catboost", "fastai", "gradio", "hydra", "joblib", "lightgbm"),
    *("matplotlib", "megengine", "pytorch", "scikit", "tensorboard", "tensorflow", "xgboost"),
)


@HOOKS.register()
class ClearML(Tracker):
    """The hook that reports a run to ClearML, as ``clearml-init`` or CLEARML_* has set it up.

    project, name: the project, and the name of the task, by default that of the run's folder.
    """

    def __init__(self, project: str = "detkit", name: Optional[str] = None):
        super().__init__(project, name)
        self._tasks, self._project = client("clearml", "clearml").Task, project

    def open(self, about: About) -> str:
        """Begins a task, or continues one by its id."""
        with handlers_kept():  # a signal would end the task before the run has finished its step
            self._task = self._tasks.init(
                project_name=self._project,
                task_name=about.name,
                reuse_last_task_id=False,
                continue_last_task=about.id or False,
                auto_connect_arg_parser=False,
                auto_connect_streams=False,
                auto_connect_frameworks=dict.fromkeys(FOLLOWED, False),
            )
        self._task.set_initial_iteration(0)  # a continued task would count on from its last step
        if about.id is None:
            self._task.set_parameters_as_dict(about.config)
        return str(self._task.id)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Reports the numbers of a step."""
        for name, value in values.items():
            self._task.get_logger().report_scalar(*name.split("/"), iteration=step, value=value)

    def picture(self, path: str, step: int) -> None:
        """Reports a picture."""
        self._task.get_logger().report_image("detections", "val", iteration=step, local_path=path)

    def end(self, status: str) -> None:
        """Closes the task, which completes it, and marks one that did not end well."""
        self._task.flush(wait_for_uploads=True)
        self._task.close()
        if status in (FAILED, STOPPED):
            task = self._tasks.get_task(task_id=self._id)
            (task.mark_failed if status == FAILED else task.mark_stopped)(force=True)
