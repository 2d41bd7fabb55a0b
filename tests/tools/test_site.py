"""tools/site: the documentation site is built without a warning, is whole, and needs no network."""

import importlib
import os
import re
import shlex
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

from detkit.commands.line import COMMANDS
from detkit.config.names import names_of
from detkit.registry import REGISTRIES
from support import tiny
from support.browser import open_browser

FOLDER = tiny.ROOT / "tools/site"
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
MISSING = "the packages of the extra docs are not installed"
SECONDS = 10  # until a search has found something


@pytest.fixture
def module(monkeypatch):
    """Imports a module of tools/site."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


# --- The text of pages ----------------------------------------------------------------------------


def test_links_of_a_guide_lead_to_pages(module):
    guides, linked = module("guides"), {}
    text = """
[guide](../configs/README.md#masks) [here](#part) [far](https://example.org/x.py)
[module](../detkit/ops/nms.py) [room](../detkit/ops) [map](../detkit/MODULES.md)
[config](../configs/coco/rpn_r50_fpn.yaml) [plugin](examples/squeezenet.py)
![picture](../configs/faster_rcnn_vgg16.jpg) [nothing](absent.py)
`[a](examples/squeezenet.py)`

    [b](examples/squeezenet.py)

```python
[c](examples/squeezenet.py)
```
"""
    found = guides.with_site_links(text, "plugins/README.md", linked)
    assert re.findall(r"\]\((.*?)\)", found) == [
        *("../configs/README.md#masks", "#part", "https://example.org/x.py"),
        "../reference/api/detkit.ops.md#detkit.ops.nms",
        *("../reference/api/detkit.ops.md#detkit.ops", "../reference/api/index.md"),
        "../reference/configs/coco/rpn_r50_fpn.md",
        "../sources/plugins/examples/squeezenet.py.md",
        *("../configs/faster_rcnn_vgg16.jpg", "absent.py"),
        *["examples/squeezenet.py"] * 3,
    ]
    shown = {page: path.relative_to(tiny.ROOT).as_posix() for page, path in linked.items()}
    assert shown == {
        "sources/plugins/examples/squeezenet.py.md": "plugins/examples/squeezenet.py",
        "configs/faster_rcnn_vgg16.jpg": "configs/faster_rcnn_vgg16.jpg",
    }


def test_a_fence_is_longer_than_those_within(module):
    text = "a\n```\nb\n````\n"
    assert module("guides").code(text, "text") == f"`````text\n{text}`````\n"


def test_a_docstring_becomes_markdown(module):
    pytest.importorskip("griffe", reason=MISSING)
    docstring = """name: Returns rows * columns of ``a_b``, see __init__ and [x, y].

    boxes, scores: (B, N), of
        a *batch*.
    **others: the rest.

        code = 1

        more_code = 2

    Raises ValueError.
    """
    assert module("docstrings").markdown(docstring) == (
        "name: Returns rows \\* columns of ``a_b``, see \\_\\_init\\_\\_ and \\[x, y\\].\n\n"
        "- `boxes`, `scores`: (B, N), of\n    a \\*batch\\*.\n"
        "- `**others`: the rest.\n\n"
        "```\ncode = 1\n\nmore_code = 2\n```\n\nRaises ValueError."
    )


def test_the_navigation_names_no_page_or_section_that_is_not_there(module):
    pytest.importorskip("mkdocs", reason=MISSING)
    pytest.importorskip("griffe", reason=MISSING)
    hooks, nav = module("hooks"), importlib.import_module("mkdocs.structure.nav")
    part = SimpleNamespace(url="#part", children=[SimpleNamespace(url="#within", children=[])])
    file = SimpleNamespace(url="guide.html", page=SimpleNamespace(toc=[part]))
    files = SimpleNamespace(get_file_from_path={"guide.md": file}.get)

    def built(address):
        link, config = nav.Link("title", address), SimpleNamespace(extra={})
        hooks.on_nav(SimpleNamespace(items=[nav.Section("s", [link])]), config, files)
        hooks.on_env(None, config, files)
        return link.url

    assert built("guide.md#within") == "guide.html#within"
    for wrong in ("absent.md#part", "guide.md#absent"):
        with pytest.raises(hooks.PluginError, match=wrong.replace("#", ".*#")):
            built(wrong)


# --- The site -------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The addresses in a page: of what it loads, of its links, and its own places."""

    def __init__(self, path):
        super().__init__()
        self.loaded, self.links, self.ids = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        if LOADED.get(tag) in attrs:
            self.loaded.append(attrs[LOADED[tag]])
        elif tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built by the command of CONTRIBUTING.md."""
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason=MISSING)
    guide = (tiny.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    \.venv/bin/(mkdocs build .*)", guide, re.MULTILINE)
    out = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", *shlex.split(command), "--site-dir", str(out)]
    done = subprocess.run(words, cwd=tiny.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site):
    """{path: Page}, without the page of errors, which knows the address of no other."""
    found = {path: Page(path) for path in site.rglob("*.html")}
    return {path: page for path, page in found.items() if path.name != "404.html"}


@pytest.mark.slow
def test_each_guide_command_part_and_config_has_its_page(site, module):
    guides = [path.replace("README.md", "index.md") for path in module("guides").GUIDES]
    reference = [
        *(f"commands/{name}" for name in COMMANDS),
        *(f"parts/{kind}" for kind in REGISTRIES),
        *(f"configs/{name}" for name in names_of(tiny.ROOT / "configs")),
        *("api/index", "commands/index", "parts/index", "configs/index"),
    ]
    expected = [*guides, *(f"reference/{page}.md" for page in reference)]
    assert [page for page in expected if not (site / page).with_suffix(".html").exists()] == []
    parts = Page(site / "reference/parts/backbone.html").ids
    assert {"resnet", "vgg", "mobilenetv2"} <= parts
    assert "detkit.Detector.detect" in Page(site / "reference/api/index.html").ids


@pytest.mark.slow
def test_every_link_leads_somewhere(site, pages):
    broken = []
    for path, page in pages.items():
        for link in (*page.links, *page.loaded):
            scheme, host, target, _, place = urlsplit(link)
            if scheme or host:
                continue
            to = Path(os.path.normpath(path.parent / unquote(target))) if target else path
            ids = pages[to].ids if to in pages else {place}
            if not to.exists() or (place and unquote(place) not in ids and place != "__skip"):
                broken.append((path.relative_to(site).as_posix(), link))
    assert len(pages) > 100 and broken == []


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site, pages):
    away = re.compile(r"(?:https?:)?//")
    assert [link for page in pages.values() for link in page.loaded if away.match(link)] == []
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//", text) == [], sheet


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_search_finds_without_a_server(site, scheme):
    box, results = "[data-md-component=search-query]", ".md-search-result__item h1"
    with open_browser() as browser:
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.command("Emulation.setEmulatedMedia", features=media)
        browser.open(site / "configs/index.html")
        browser.click(box)
        browser.type(box, "soft_nms")
        end = time.monotonic() + SECONDS
        while not browser.texts(results) and time.monotonic() < end:
            time.sleep(0.1)
        assert "detkit.ops" in browser.texts(results)
        dark = browser.run("return document.body.dataset.mdColorScheme === 'slate'")
        assert dark == (scheme == "dark")
        assert browser.errors() == []
