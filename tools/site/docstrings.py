"""Docstrings of the house as Markdown: arguments become a list, and signs of Markdown plain text.

A docstring is prose in paragraphs. A paragraph of lines ``name: text`` describes arguments. Lines
behind four spaces are code.
"""

import re
from inspect import cleandoc

import griffe

ARGUMENTS = re.compile(r"(\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*): (.*)", re.DOTALL)
CODE = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)
SIGNS = re.compile(r"([\\*_<\[\]])")


def markdown(docstring):
    """Returns a docstring as Markdown."""
    blocks = re.split(r"\n\s*\n", cleandoc(docstring))
    return "\n\n".join(_block(block) for block in blocks)


def _block(block):
    if block.startswith("    "):
        return block
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
