"""COCO's two files: annotations of a dataset, and results with scores. Both grow frame by frame."""

import json
from typing import Any, Dict, List

from detkit.data.writers.coco import CONTENT, add_entry, empty_content, id_of
from detkit.detections.coco_labels import category_ids_of
from detkit.predictions.saves.growing import GrowingFile, GrowingList
from detkit.predictions.saves.result import SPLIT, Result, Target, own_folder

FILE = f"annotations/instances_{SPLIT}.json"
RESULTS = "results.json"


class CocoSave:
    """The folder of a dataset in COCO's layout, and results.json beside its folders.

    Image ids count the frames from 1 in both files. Category ids are COCO's own for its 80 classes,
    and label + 1 otherwise. Each annotation has its ``score``. results.json is what ``detkit
    evaluate`` and pycocotools' loadRes read.
    """

    def __init__(self, target: Target) -> None:
        self._folder, self._images = own_folder(target.folder), target.images
        file = self._folder / FILE
        images, things, categories = CONTENT
        self._head = GrowingList(file, f'{{"{images}": [', f'\n],\n"{things}": [')
        self._things = GrowingList(file.with_name(f"{file.name}.{things}"), "")
        self._results = GrowingList(self._folder / RESULTS)
        pairs = zip(category_ids_of(target.class_names), target.class_names)
        self._categories: List[Any] = [{"id": each, "name": name} for each, name in pairs]
        self._key = categories

    def add(self, result: Result) -> None:
        """Adds an image, its annotations and its results."""
        entry = result.entry()
        content: Dict[str, List[Any]] = empty_content(entry.dataset)
        add_entry(content, entry, id_of(entry, numbered=False))
        images, things, self._categories = (content[key] for key in CONTENT)
        for image in images:
            self._head.add(_json(image))
        for thing, score in zip(things, result.usable.scores.tolist()):
            self._things.add(_json({**thing, "id": self._things.count + 1, "score": score}))
        ids = [category["id"] for category in self._categories]
        for found in result.found.to_coco(result.index + 1, ids):
            self._results.add(_json(found))
        result.put_image(self._folder / "images" / SPLIT / entry.name, self._images)

    def close(self) -> None:
        """Joins the two lists, and completes both files."""
        self._head.end()
        whole: GrowingFile = self._head.file
        self._things.file.close_into(whole)
        whole.write(f'\n],\n"{self._key}": {_json(self._categories)}}}\n')
        whole.close()
        self._results.close()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
