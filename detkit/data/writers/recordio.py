"""Writes record files of images, SPLIT.rec and SPLIT.idx, with SPLIT.json in COCO's format."""

import contextlib
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Union

from detkit.data.sample import Dataset
from detkit.data.writers.coco import CONTENT, add_entry, empty_content, id_of, is_numbered
from detkit.data.writers.entries import Written, entries, new_folder
from detkit.errors import DataError
from detkit.files.recordio import index_line, write_record


def write_recordio(
    datasets: Mapping[str, Dataset], folder: Union[str, Path], images: str = "copy"
) -> Written:
    """Writes the splits {name: dataset} into a new folder, for the reader RecordIO.

    images: "copy". The bytes of the image files are packed as they are, so that nothing is lost.

    The annotations are those of write_coco. Raises DataError for links, if the folder holds
    anything already or cannot be written, and for splits of different classes.
    """
    if images != "copy":
        raise DataError(
            f"images: expected copy, because record files hold the images, found {images}"
        )
    contents: Dict[str, Dict[str, List[Any]]] = {}
    numbered = {split: is_numbered(dataset) for split, dataset in datasets.items()}
    with new_folder(folder, images) as part, contextlib.ExitStack() as stack:
        for entry in entries(datasets):
            if entry.split not in contents:
                contents[entry.split] = empty_content(entry.dataset)
                records = stack.enter_context(open(part / f"{entry.split}.rec", "wb"))
                index = stack.enter_context(
                    open(part / f"{entry.split}.idx", "w", encoding="ascii")
                )
            content = contents[entry.split]
            key = len(content["images"])
            add_entry(content, entry, id_of(entry, numbered[entry.split]))
            content["images"][-1]["record"] = key
            index.write(index_line(key, write_record(records, key, entry.image_bytes())))
        for split, content in contents.items():
            file = part / f"{split}.json"
            file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    counts = [[len(content[key]) for content in contents.values()] for key in CONTENT[:2]]
    return Written(sum(counts[0]), sum(counts[1]), [])
