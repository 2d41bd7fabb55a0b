"""tasks.json, tasks of Label Studio with predictions, which grows image by image.

The format is that of labelstud.io/guide/predictions.
"""

import json
import os
from pathlib import Path
from typing import Any, Dict, List
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from detkit.data.writers.entries import single_polygon
from detkit.predictions.saves.growing import GrowingList, write_whole
from detkit.predictions.saves.result import Result, Target

FILE, CONFIG = "tasks.json", "labels.xml"
LOCAL = "/data/local-files/?d="  # before the path of a file in Label Studio's local storage
BOXES, POLYGONS = ("boxes", "rectanglelabels"), ("outlines", "polygonlabels")  # names and types
PER_CENT = 100.0


class LabelStudioSave:
    """A task for each image, with a prediction that a person corrects; and the labels as a config.

    root: the folder of the images, below which their names begin.
    prefix: what stands before the name of an image in its address.
    version: the model_version of the predictions.

    Each object has its score, and the prediction the mean of them. A mask becomes a polygon.
    labels.xml is the labelling config of a new project, in which tasks.json is then imported.
    """

    def __init__(self, target: Target, root: Path, prefix: str, version: str) -> None:
        self._target, self._root = target, root
        self._prefix, self._version = prefix, version
        self._list = GrowingList(target.folder / FILE)
        self._has_polygons = False

    def add(self, result: Result) -> None:
        """Writes a task."""
        name = Path(os.path.relpath(result.frame.source.path, self._root)).as_posix()
        scores = [float(str(score)) for score in result.usable.scores]
        prediction = {
            "model_version": self._version,
            "score": sum(scores) / max(len(scores), 1),
            "result": self._results(result, scores),
        }
        data = {"image": self._prefix + quote(os.fsencode(name))}
        task = {"data": data, "annotations": [], "predictions": [prediction]}
        self._list.add(json.dumps(task, ensure_ascii=False))

    def close(self) -> None:
        """Completes the tasks, and writes the config."""
        self._list.close()
        tags = [("RectangleLabels", BOXES[0])] + [("PolygonLabels", POLYGONS[0])] * (
            self._has_polygons
        )
        lines = ["<View>", '  <Image name="image" value="$image"/>']
        for tag, name in tags:
            lines.append(f'  <{tag} name="{name}" toName="image">')
            lines += [f"    <Label value={quoteattr(each)}/>" for each in self._target.class_names]
            lines.append(f"  </{tag}>")
        write_whole(self._target.folder / CONFIG, "\n".join([*lines, "</View>", ""]))

    def _results(self, result: Result, scores: List[float]) -> List[Dict[str, Any]]:
        entry = result.entry()
        size = {"original_width": result.width, "original_height": result.height}
        results = []
        for row, (box, name, outline) in enumerate(
            zip(entry.boxes, entry.class_names, entry.outlines)
        ):
            flat = single_polygon(outline, result.height, result.width) if outline else []
            value = _polygon(flat, result) if flat else _rectangle(box, result)
            tag, kind = POLYGONS if flat else BOXES
            self._has_polygons |= bool(flat)
            thing: Dict[str, Any] = {"id": f"{result.index}-{row}", "type": kind, "from_name": tag}
            thing.update({"to_name": "image", **size, "image_rotation": 0, "score": scores[row]})
            results.append({**thing, "value": {**value, kind: [name]}})
        return results


def _rectangle(box: List[float], result: Result) -> Dict[str, Any]:
    x1, y1, x2, y2 = box
    across, down = PER_CENT / result.width, PER_CENT / result.height
    value = {"x": x1 * across, "y": y1 * down}
    return {**value, "width": (x2 - x1) * across, "height": (y2 - y1) * down, "rotation": 0}


def _polygon(flat: List[float], result: Result) -> Dict[str, Any]:
    across, down = PER_CENT / result.width, PER_CENT / result.height
    pairs = zip(flat[::2], flat[1::2])
    return {"points": [[x * across, y * down] for x, y in pairs], "closed": True}
