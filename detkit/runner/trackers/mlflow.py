"""MLflow."""

import re
import time
from typing import Any, Mapping, Optional

from detkit.registry import HOOKS
from detkit.runner.trackers.tracker import FAILED, FINISHED, STOPPED, About, Tracker, client

STATUS = {FINISHED: "FINISHED", STOPPED: "KILLED", FAILED: "FAILED"}
BATCH, LONGEST = 100, 500  # MLflow's limits: of a request, and of a value's text


@HOOKS.register()
class MLflow(Tracker):
    """The hook that logs a run to MLflow.

    experiment, name: the experiment, and the name of the run, by default that of its folder.
    uri: the server or folder; null: what MLFLOW_TRACKING_URI says.
    """

    def __init__(
        self, experiment: str = "detkit", name: Optional[str] = None, uri: Optional[str] = None
    ):
        super().__init__(f"{uri} {experiment}" if uri else experiment, name)
        self._mlflow, self._experiment, self._uri = client("mlflow", "mlflow"), experiment, uri

    def open(self, about: About) -> str:
        """Creates a run, and the experiment if it is new; or continues a run by its id."""
        self._client = self._mlflow.MlflowClient(tracking_uri=self._uri)
        if about.id is not None:
            self._client.update_run(about.id, status="RUNNING")
            self._run = about.id
            return about.id
        found = self._client.get_experiment_by_name(self._experiment)
        place = found.experiment_id if found else self._client.create_experiment(self._experiment)
        self._run = self._client.create_run(place, run_name=about.name).info.run_id
        shown = {key: str(value)[:LONGEST] for key, value in about.config.items()}
        self._log("params", self._mlflow.entities.Param, shown)
        return str(self._run)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Logs the numbers of a step."""
        self._log("metrics", self._mlflow.entities.Metric, values, int(1000 * time.time()), step)

    def picture(self, path: str, step: int) -> None:
        """Logs a picture as an artifact, whose name has the step or epoch."""
        self._client.log_artifact(self._run, path, "detections")

    def end(self, status: str) -> None:
        """Ends the run."""
        self._client.set_terminated(self._run, STATUS[status])

    def _log(self, kind: str, entity: Any, values: Mapping[str, Any], *at: int) -> None:
        # The characters that MLflow refuses in a name become their codes.
        names = [re.sub(r"[^\w./ -]", lambda c: f"_{ord(c[0]):x}", n, flags=re.A) for n in values]
        entities = [entity(name, value, *at) for name, value in zip(names, values.values())]
        for first in range(0, len(entities), BATCH):
            self._client.log_batch(self._run, **{kind: entities[first : first + BATCH]})
