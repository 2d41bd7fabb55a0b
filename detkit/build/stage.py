"""One training of several: its config, and the files that it takes from earlier stages."""

import copy
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from detkit.build.data import taken_proposals
from detkit.build.model import detector_of
from detkit.config import Config, Node, place


class Made(NamedTuple):
    """The files of a stage that later stages take.

    checkpoint: the folder of its last checkpoint, or None if it was not trained. proposals: {split:
    file}, empty if no later stage takes them.
    """

    checkpoint: Optional[str]
    proposals: Mapping[str, str]


class Stage(NamedTuple):
    """One training of several.

    node: its section. config: the whole config of its training, in which ``train.start_from`` still
    names stages, and proposals are missing. proposals: the stage whose proposals it is trained on.
    limits: {split: how many of an image's}.
    """

    name: str
    node: Node
    config: Config
    proposals: Optional[str] = None
    limits: Mapping[str, int] = {}

    def __str__(self) -> str:
        """Returns the stage in words: '3-rpn trains RPN, backbone frozen'."""
        frozen = self.config["train"].get("freeze")
        kept = f", {' and '.join(frozen)} frozen" if frozen else ""
        return f"{self.name} trains {self.config['model']['type']}{kept}"

    @property
    def sources(self) -> Dict[Optional[str], str]:
        """Returns {part: stage or folder that its weights come from}; the key None is for all."""
        named = self.config["train"].get("start_from")
        return dict(named) if isinstance(named, dict) else {None: named} if named else {}

    @property
    def taken(self) -> Sequence[str]:
        """The keys of the proposals in ``data`` that the stage takes."""
        return taken_proposals(self.config, detector_of(self.config))

    @property
    def missing(self) -> Sequence[str]:
        """The keys among ``taken`` that the config does not have."""
        return [key for key in self.taken if key not in self.config["data"]]

    def placed(self, made: Mapping[str, Made]) -> Config:
        """Returns the config with the files of earlier stages instead of their names."""
        config = copy.deepcopy(self.config)
        train: Node = config["train"]
        named = train.get("start_from")
        if isinstance(named, Node):
            for part, source in list(named.items()):
                named.put(part, _folder(source, made), named.where(part))
                if named[part] is None:
                    del named[part]
                elif isinstance(config["model"].get(part), dict):
                    config["model"][part].pop("pretrained", None)  # it would be replaced at once
        elif named:
            train.put("start_from", _folder(named, made), train.where("start_from"))
        if not train.get("start_from"):
            train.pop("start_from", None)
        if self.proposals is not None:
            origin = place(self.node, "proposals")
            for split, path in made[self.proposals].proposals.items():
                key = f"{split}_proposals"
                if key not in self.taken:
                    continue
                file = Node(f"data.{key}", origin)
                file.put("path", path, origin)
                if split in self.limits:
                    file.put("limit", self.limits[split], origin)
                config["data"].put(key, file, origin)
        return config


def _folder(source: Any, made: Mapping[str, Made]) -> Any:
    """Returns the checkpoint of a stage, or the folder that is named instead of one."""
    return made[source].checkpoint if source in made else source
