"""The same three images in every layout of datasets that detkit reads."""

import json
import struct
from typing import Any, Dict, List

import cv2
import numpy as np

from fuzz.weights import Files

WIDTH, HEIGHT = 60, 40  # pixels
CLASSES = ("cat", "dog")
THINGS = {
    "a.jpg": [("cat", (10, 5, 30, 25)), ("dog", (0, 0, 60, 40))],
    "b.jpg": [("dog", (20, 10, 40, 30))],
    "c.jpg": [],
}  # of each image: class and box x1 y1 x2 y2
CLASS_IDS = {"cat": "/m/01yrx", "dog": "/m/0bt9lr"}  # Open Images'
SYNSETS = {"cat": "n02121808", "dog": "n02084071"}  # ImageNet's


def jpegs(folder: str = "") -> Files:
    """Returns the three images, below a folder with a "/" at its end."""
    pixels = np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3).astype(np.uint8)
    return {f"{folder}{name}": cv2.imencode(".jpg", pixels)[1].tobytes() for name in THINGS}


def _xml(name: str, classes: Dict[str, str], first_pixel: int = 1) -> bytes:
    objects = "".join(
        f"<object><name>{classes.get(label, label)}</name><difficult>0</difficult><bndbox>"
        f"<xmin>{x1 + first_pixel}</xmin><ymin>{y1 + first_pixel}</ymin>"
        f"<xmax>{x2 + first_pixel - 1}</xmax><ymax>{y2 + first_pixel - 1}</ymax></bndbox>"
        "</object>\n"
        for label, (x1, y1, x2, y2) in THINGS[name]
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>\n"
    return f"<annotation><filename>{name}</filename>\n{size}{objects}</annotation>\n".encode()


def voc() -> Files:
    """Returns Pascal VOC's layout."""
    xml = {f"Annotations/{name[0]}.xml": _xml(name, {}) for name in THINGS}
    return {**xml, "ImageSets/Main/train.txt": b"a\nb\nc\n", **jpegs("JPEGImages/")}


def voc_folder() -> Files:
    """Returns XML files beside the images."""
    return {**{f"{name[0]}.xml": _xml(name, {}) for name in THINGS}, **jpegs()}


def imagenet() -> Files:
    """Returns ImageNet DET's layout."""
    xml = {f"Annotations/DET/val/{n[0]}.xml": _xml(n, SYNSETS, first_pixel=0) for n in THINGS}
    lists = {"ImageSets/DET/val.txt": b"a 1\nb 2\nc 3\n"}
    lines = [f"{SYNSETS[name]} {number} {name}\n" for number, name in enumerate(CLASSES, 1)]
    names = {"map_det.txt": "".join(lines).encode()}
    images = {f"Data/DET/val/{n[0]}.JPEG": data for n, data in jpegs().items()}
    return {**xml, **lists, **names, **images}


def coco() -> Files:
    """Returns COCO's layout."""
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for number, name in enumerate(THINGS, 1)
    ]
    annotations = [
        {"id": 10 * number + order, "image_id": number, "category_id": 1 + CLASSES.index(label),
         "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
        for number, things in enumerate(THINGS.values(), 1)
        for order, (label, (x1, y1, x2, y2)) in enumerate(things)
    ]  # fmt: skip
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return {"annotations/instances_train.json": _json(content), **jpegs("images/")}


def yolo() -> Files:
    """Returns YOLO's layout as Roboflow exports it."""
    lines = {
        f"train/labels/{name[0]}.txt": "".join(
            f"{CLASSES.index(label)} {(x1 + x2) / 2 / WIDTH} {(y1 + y2) / 2 / HEIGHT} "
            f"{(x2 - x1) / WIDTH} {(y2 - y1) / HEIGHT}\n"
            for label, (x1, y1, x2, y2) in things
        ).encode()
        for name, things in THINGS.items()
    }
    settings = b"train: ../train/images\n\nnc: 2\nnames: ['cat', 'dog']\n"
    return {"data.yaml": settings, **lines, **jpegs("train/images/")}


def labelme() -> Files:
    """Returns LabelMe's layout."""
    files: Files = jpegs()
    for name, things in THINGS.items():
        shapes = [
            {"label": label, "points": [[x1, y1], [x2, y2]], "group_id": None,
             "shape_type": "rectangle", "flags": {}}
            for label, (x1, y1, x2, y2) in things
        ]  # fmt: skip
        content = {"version": "5.0.1", "flags": {}, "shapes": shapes, "imagePath": name}
        sides = {"imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
        files[f"{name[0]}.json"] = _json({**content, **sides})
    return files


def cvat() -> Files:
    """Returns an export of CVAT for images 1.1."""
    images = "".join(
        f'<image id="{number}" name="{name}" width="{WIDTH}" height="{HEIGHT}">\n'
        + "".join(
            f'<box label="{label}" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}"></box>\n'
            for label, (x1, y1, x2, y2) in things
        )
        + "</image>\n"
        for number, (name, things) in enumerate(THINGS.items())
    )
    labels = "".join(f"<label><name>{name}</name></label>" for name in CLASSES)
    meta = f"<meta><task><labels>{labels}</labels></task></meta>\n"
    text = f"<annotations><version>1.1</version>\n{meta}{images}</annotations>\n"
    return {"annotations.xml": text.encode(), **jpegs("images/")}


def label_studio() -> Files:
    """Returns a JSON export of Label Studio."""
    tasks = [
        {"id": number, "data": {"image": f"/data/upload/1/0123abcd-{name}"},
         "annotations": [{"id": number, "was_cancelled": False, "result": [
             {"type": "rectanglelabels", "original_width": WIDTH, "original_height": HEIGHT,
              "value": {"x": 100 * x1 / WIDTH, "y": 100 * y1 / HEIGHT, "rotation": 0,
                        "width": 100 * (x2 - x1) / WIDTH, "height": 100 * (y2 - y1) / HEIGHT,
                        "rectanglelabels": [label]}}
             for label, (x1, y1, x2, y2) in things]}]}
        for number, (name, things) in enumerate(THINGS.items())
    ]  # fmt: skip
    return {"export.json": _json(tasks), **jpegs("images/")}


def open_images() -> Files:
    """Returns tables of Open Images. They cannot state an image without objects."""
    rows = "".join(
        f"{name[0]},verified,{CLASS_IDS[label]},1,{x1 / WIDTH},{x2 / WIDTH},{y1 / HEIGHT},"
        f"{y2 / HEIGHT},0,0,0\n"
        for name, things in THINGS.items()
        for label, (x1, y1, x2, y2) in things
    )
    head = (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf\n"
    )
    names = "".join(f"{CLASS_IDS[name]},{name}\n" for name in CLASSES)
    tables = {"boxes.csv": (head + rows).encode(), "class-descriptions.csv": names.encode()}
    return {**tables, **jpegs("images/")}


def csv_table() -> Files:
    """Returns a table of boxes."""
    rows = "".join(
        f"{name},{WIDTH},{HEIGHT},{label},{x1},{y1},{x2},{y2}\n"
        for name, things in THINGS.items()
        for label, (x1, y1, x2, y2) in things
    )
    head = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    return {"boxes.csv": f"{head}{rows}c.jpg,{WIDTH},{HEIGHT},,,,,\n".encode(), **jpegs()}


def json_lines() -> Files:
    """Returns a file of JSON lines."""
    lines: List[bytes] = []
    for name, things in THINGS.items():
        objects: List[Dict[str, Any]] = [
            {"class": label, "box": list(box)} for label, box in things
        ]
        lines.append(_json({"image": name, "width": WIDTH, "height": HEIGHT, "objects": objects}))
    return {"boxes.jsonl": b"\n".join(lines) + b"\n", **jpegs()}


def recordio() -> Files:
    """Returns a record file with its index, and annotations in COCO's format beside it."""
    content = json.loads(coco()["annotations/instances_train.json"])
    records, index = b"", ""
    for number, (entry, data) in enumerate(zip(content["images"], jpegs().values())):
        entry["record"] = number
        index += f"{number}\t{len(records)}\n"
        record = struct.pack("<IfQQ", 0, 0, number, 0) + data
        records += struct.pack("<II", 0xCED7230A, len(record)) + record + bytes(-len(record) % 4)
    return {"all.rec": records, "all.idx": index.encode(), "all.json": _json(content)}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


# What a layout can also state: of a file, some text and what takes its place.
POLYGON = "[[10, 5], [30, 5], [30, 25]]"
MORE = {
    "yolo": ("train/labels/b.txt", None, "1 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.2 0.2 0.1 0.1\n"),
    "labelme": (
        "b.json",
        '[[20, 10], [40, 30]], "group_id": null, "shape_type": "rectangle"',
        POLYGON + ', "group_id": 1, "shape_type": "polygon"',
    ),
    "cvat": (
        "annotations.xml",
        '<box label="dog" xtl="20" ytl="10" xbr="40" ybr="30"></box>',
        '<mask label="dog" rle="1,2,3" left="4" top="5" width="3" height="2"/>'
        '<polygon label="cat" points="1,2;30,2;30,20"/><points label="cat" points="1,2"/>'
        '<box label="dog" xtl="20" ytl="10" xbr="40" ybr="30" rotation="30"/>',
    ),
    "labelstudio": ("export.json", '"rotation": 0', '"rotation": 30'),
    "jsonl": ("boxes.jsonl", '"box": [10, 5, 30, 25]', '"polygons": [[10, 5, 30, 5, 30, 25]]'),
    "openimages": ("boxes.csv", ",0,0,0\n", ",0,0,1\n"),
    "csv": ("boxes.csv", "filename,width,height", "image,image_width,image_height"),
}


def seeds(layout: str) -> List[Files]:
    """Returns the images in a layout, and again with other shapes, if the layout has some."""
    files = FILES[layout]()
    if layout not in MORE:
        return [files]
    name, old, new = MORE[layout]
    text = files[name].decode()
    return [files, {**files, name: (text.replace(old, new, 1) if old else new).encode()}]


FILES = {
    "voc": voc,
    "voc-folder": voc_folder,
    "coco": coco,
    "yolo": yolo,
    "labelme": labelme,
    "cvat": cvat,
    "labelstudio": label_studio,
    "openimages": open_images,
    "csv": csv_table,
    "jsonl": json_lines,
    "recordio": recordio,
    "imagenet": imagenet,
}
