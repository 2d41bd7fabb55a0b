"""Weights & Biases."""

from typing import Literal, Mapping, Optional

from detkit.registry import HOOKS
from detkit.runner.trackers.tracker import FAILED, FINISHED, STOPPED, About, Tracker, client

EXIT = {FINISHED: 0, FAILED: 1, STOPPED: 255}  # 255 is a run that was killed


@HOOKS.register()
class WandB(Tracker):
    """The hook that logs a run to Weights & Biases, as ``wandb login`` or WANDB_API_KEY permits.

    project, entity, name: the project, its user or team, and the name of the run, by default that
        of its folder.
    mode: "online", or "offline", whose files ``wandb sync`` uploads; null: what WANDB_MODE says.
    """

    def __init__(
        self,
        project: str = "detkit",
        entity: Optional[str] = None,
        name: Optional[str] = None,
        mode: Optional[Literal["online", "offline"]] = None,
    ):
        super().__init__(f"{entity}/{project}" if entity else project, name)
        self._client = client("wandb", "wandb")
        self._options = {"project": project, "entity": entity, "mode": mode}

    def open(self, about: About) -> str:
        """Begins a run, whose numbers are drawn over ``step``, or continues one by its id."""
        self._run = self._client.init(
            name=about.name,
            dir=about.folder,
            id=about.id,
            resume="allow",
            config=about.config if about.id is None else None,
            **self._options,
        )
        # W&B's own step never goes back, as that of a resumed run does.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        return str(self._run.id)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Logs the numbers of a step."""
        self._run.log({"step": step, **values})

    def picture(self, path: str, step: int) -> None:
        """Logs a picture."""
        self._run.log({"step": step, "detections": self._client.Image(path)})

    def end(self, status: str) -> None:
        """Finishes the run."""
        self._run.finish(exit_code=EXIT[status])
