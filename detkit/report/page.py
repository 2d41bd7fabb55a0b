"""Joins files of this folder and figures into one page that needs no other file.

Names of classes, images and settings come from strangers' files. They are in the page as JSON
alone, without a character that could end it, and the script puts them in as text. The page allows
no other script and style than its own, by their hashes, and loads nothing.
"""

import base64
import hashlib
import json
from pathlib import Path
from string import Template
from typing import Any, Mapping, Optional, Sequence

from detkit.report.pack import packed
from detkit.wording import counted

FOLDER = Path(__file__).parent
SCRIPTS = (  # in the order in which they use each other
    *("dom", "theme", "state", "table", "plot", "metrics", "curves", "matrix", "bars", "examples"),
    *("training", "main"),
)
HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}  # a JSON string may have these instead


def page(
    summaries: Sequence[Mapping[str, Any]],
    differences: Sequence[Optional[Mapping[str, Any]]] = (),
    pictures: Optional[Mapping[str, str]] = None,
) -> str:
    """Returns the HTML of a page.

    summaries: the results of ``detkit.analysis.summarise``, of the same dataset; the first is the
        baseline of the differences.
    differences: for each summary None, or {"voc" or "coco": {"AP": interval, "AP50": interval}} of
        its difference from the first. An interval has "difference", "low", "high", "images" and
        "repeats".
    pictures: {image id as text: data URI} of the examples that are shown.
    """
    first, more = summaries[0], len(summaries) - 1
    others = more and counted(more, "other")
    data = {
        "title": f"{first['name']}{f' and {others}' if others else ''}: data.{first['split']}",
        "class_names": first["class_names"],
        "runs": [packed(one, len(summaries)) for one in summaries],
        "differences": list(differences) or [None] * len(summaries),
        "pictures": dict(pictures or {}),
    }
    return document("page", ["style"], SCRIPTS, data)


def document(
    template: str, styles: Sequence[str], scripts: Sequence[str], data: Mapping[str, Any]
) -> str:
    """Returns the HTML of a page that is made of files of this folder, named without their suffix.

    data: of JSON's types, for the scripts.
    """
    style = "\n".join(_read(f"{name}.css") for name in styles)
    parts = "\n".join(_read(f"{name}.js") for name in scripts)
    script = f'"use strict";\n(() => {{\n{parts}}})();\n'
    rules = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'"
    )
    html = Template(_read(f"{template}.html"))
    return html.substitute(rules=rules, style=style, script=script, data=_as_json(data))


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Returns the hash of a script or a style for the page's Content-Security-Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _as_json(data: Mapping[str, Any]) -> str:
    """Returns JSON of ASCII alone that can stand within an element <script>."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character, escape in HTML.items():
        text = text.replace(character, escape)
    return text
