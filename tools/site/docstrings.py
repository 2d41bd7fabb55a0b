"""Docstrings of the house as Markdown: arguments become a list, and signs of Markdown plain text.

A docstring is prose in paragraphs. A paragraph of lines ``name: text`` describes arguments. Lines
behind four spaces are code.
"""

import re
from inspect import cleandoc
from itertools import groupby
from textwrap import dedent

import griffe

ARGUMENTS = re.compile(r"(\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*): (.*)", re.DOTALL)
CODE = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)
SIGNS = re.compile(r"([\\*_<\[\]])")


def markdown(docstring):
    """Returns a docstring as Markdown."""
    first, *others = re.split(r"\n\n+", cleandoc(docstring))
    blocks = [_escaped(first)]
    for is_code, group in groupby(others, lambda block: block.startswith("    ")):
        if is_code:  # fenced, because behind a list four spaces belong to its last item
            blocks.append("```\n" + dedent("\n\n".join(group)) + "\n```")
        else:
            blocks += map(_paragraph, group)
    return "\n\n".join(blocks)


def _paragraph(block):
    if not ARGUMENTS.match(block):
        return _escaped(block)
    items = []
    for line in block.split("\n"):
        if ARGUMENTS.match(line):
            items.append(line)
        else:  # a further line of the argument
            items[-1] += f"\n{line.strip()}"
    return "\n".join(_item(*ARGUMENTS.match(item).groups()) for item in items)


def _item(names, text):
    shown = ", ".join(f"`{name}`" for name in names.split(", "))
    return f"- {shown}: " + _escaped(text).replace("\n", "\n    ")


def _escaped(text):
    """Returns prose whose stars, underscores and brackets outside of code are plain text."""
    parts = CODE.split(text)
    parts[::2] = [SIGNS.sub(r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


class HouseStyle(griffe.Extension):
    """Changes the docstrings that mkdocstrings shows."""

    def on_object(self, *, obj, **others):
        """Changes the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)
