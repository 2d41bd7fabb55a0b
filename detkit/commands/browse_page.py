"""The page of ``detkit browse``: one file of HTML, which loads nothing but the pictures beside it.

Names of classes and images come from strangers' files. They are escaped, the script reads only
numbers from the page, and the page allows no other script than its own, by its hash.
"""

import base64
import hashlib
import html
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from detkit.data.sample import Dataset

STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
h1 { font-size: 1.3em; overflow-wrap: anywhere }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere }
th button { font: inherit; font-weight: bold; border: 0; background: none; cursor: pointer }
#pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1em }
figure { margin: 0 }
figure img { width: 100%; height: auto }
figcaption { overflow-wrap: anywhere; font-size: .9em }
.gone { display: none }
"""
SCRIPT = """
"use strict";
const figures = [...document.querySelectorAll("figure")];
const choice = document.getElementById("choice"), shown = document.getElementById("shown");
function filter() {
  let count = 0;
  for (const figure of figures) {
    const here = choice.value === "" || figure.dataset.labels.split(" ").includes(choice.value);
    figure.classList.toggle("gone", !here);
    count += here;
  }
  shown.textContent = count;
}
choice.addEventListener("change", filter);
document.querySelectorAll("th button").forEach((button, column) => {
  let up = false;
  button.addEventListener("click", () => {
    const body = document.querySelector("tbody");
    const value = row => row.cells[column].dataset.value;
    up = !up;
    [...body.rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      const order = column ? x - y : x.localeCompare(y);
      return up ? order : -order;
    }).forEach(row => body.append(row));
  });
});
filter();
"""
COLUMNS = ("class", "objects", "images", "median width", "median height", "difficult")


class Picture(NamedTuple):
    """A picture of the page: its file below the page, the image's id, its height and width.

    labels: those of the objects that are not difficult.
    """

    file: str
    image_id: str
    size: Tuple[int, int]
    labels: List[int]


def page(
    title: str,
    dataset: Dataset,
    pictures: Sequence[Picture],
    sheets: Sequence[str],
    inputs: str = "",
) -> str:
    """Returns the HTML of the page.

    sheets: the files of the sheets. inputs: the file of the page of the network's inputs, or "".
    The table counts the objects of the whole dataset.
    """
    link = (
        f' <a href="{inputs}">As the network sees them, with matched anchors</a>.' if inputs else ""
    )
    links = ", ".join(f'<a href="{name}">{number}</a>' for number, name in enumerate(sheets, 1))
    options = "".join(
        f'<option value="{label}">{html.escape(name)}</option>'
        for label, name in enumerate(dataset.class_names)
    )
    figures = "\n".join(_figure(one, dataset.class_names) for one in pictures)
    return f"""<!DOCTYPE html>
<!-- detkit browse -->
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_rules()}">
<meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{len(dataset)} images, {len(dataset.bad_images)} more cannot be used, \
{len(dataset.dropped)} objects are dropped. Dashed boxes are difficult objects or crowds, \
which count neither in training nor in evaluation.{link}</p>
{_table(dataset)}
<p><label>Pictures with <select id="choice"><option value="">any class</option>{options}</select>\
</label>: <span id="shown">{len(pictures)}</span> of {len(pictures)}. Sheets: {links}.</p>
<div id="pictures">
{figures}
</div>
<script>{SCRIPT}</script></body></html>
"""


def _rules() -> str:
    """Returns the Content-Security-Policy, which allows the script of the page alone."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )


def _table(dataset: Dataset) -> str:
    """Returns the table of the classes, whose cells have their values for the script."""
    annotations = [dataset.annotation(index) for index in range(len(dataset))]
    labels = np.concatenate([one.labels for one in annotations])
    boxes = np.concatenate([one.boxes for one in annotations])
    kept = ~np.concatenate([one.difficult for one in annotations])
    image = np.repeat(np.arange(len(annotations)), [len(one.labels) for one in annotations])
    sides = boxes[:, 2:] - boxes[:, :2]
    rows = []
    for label, name in enumerate(dataset.class_names):
        mine = (labels == label) & kept
        medians = np.median(sides[mine], axis=0) if mine.any() else (0, 0)
        images, difficult = len(set(image[mine])), int(((labels == label) & ~kept).sum())
        numbers = [int(mine.sum()), images, *(round(float(side)) for side in medians), difficult]
        shown = html.escape(name, quote=True)
        cells = [f'<td data-value="{shown}">{shown}</td>']
        cells += [f'<td data-value="{number}">{number}</td>' for number in numbers]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f'<th><button type="button">{name}</button></th>' for name in COLUMNS)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _figure(one: Picture, class_names: Sequence[str]) -> str:
    counts = np.bincount(np.array(one.labels, int), minlength=len(class_names))
    named = [f"{n} {class_names[label]}" for label, n in enumerate(counts) if n]
    caption = html.escape(f"{one.image_id}: {', '.join(named) or 'no object'}")
    present = " ".join(str(label) for label, n in enumerate(counts) if n)
    height, width = one.size
    return (
        f'<figure data-labels="{present}"><a href="{one.file}"><img src="{one.file}" '
        f'width="{width}" height="{height}" loading="lazy" alt=""></a>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
