"""The guides of the repository as pages of the site.

A guide keeps its path, so that links between guides are the same on the site and on a code host.
A link to another file of the repository becomes a link to the page that the site has about it: the
reference of a module, the page of a config, or a page that shows the file.
"""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDES = (
    *("README.md", "configs/README.md", "plugins/README.md", "tools/README.md"),
    *("tools/deploy/README.md", "tools/docker/README.md", "tools/benchmark/README.md"),
    *("detkit/README.md", "detkit/ops/README.md", "detkit/ops/native/README.md", "tests/README.md"),
    *("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"),
)
MODULES = "detkit/MODULES.md"  # says no more than the reference does
API, CONFIGS, SOURCES = "reference/api", "reference/configs", "sources"
PICTURES = (".jpg", ".png", ".svg")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".hpp": "cpp", ".h": "cpp", ".cc": "cpp"}
# A line of code, or the address of a link.
LINK = re.compile(r"^(?:    |```).*$|`[^`\n]*`|\]\(([^)\s]+)\)", re.MULTILINE)
FENCED = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def read():
    """Returns {path: text} of the guides."""
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in GUIDES}


def with_site_links(text, guide, linked):
    """Returns a guide's text with links that lead to pages of the site.

    linked: gets {page: path} of each file that the site has to show for these links.
    """

    def replaced(match):
        target = match[1]
        if target is None or re.match(r"[a-z]+:|#", target):
            return match[0]
        path, mark, section = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(guide), path))
        page = page_of(path, linked)
        return f"]({posixpath.relpath(page, posixpath.dirname(guide) or '.')}{mark}{section})"

    parts = FENCED.split(text)
    parts[::2] = [LINK.sub(replaced, part) for part in parts[::2]]
    return "".join(parts)


def page_of(path, linked):
    """Returns the page about a file or folder of the repository, with the place on it."""
    if path in GUIDES or not (ROOT / path).exists():
        return path  # a file that is not there is reported by mkdocs
    if path == MODULES:
        return f"{API}/index.md"
    if path.startswith("detkit/") and (path.endswith(".py") or (ROOT / path).is_dir()):
        module = path[: -len(".py")] if path.endswith(".py") else path
        folder = module if (ROOT / path).is_dir() else posixpath.dirname(module)
        return f"{api_page(folder)}#{module.replace('/', '.')}"
    if path.startswith("configs/") and path.endswith(".yaml"):
        return f"{CONFIGS}/{path[len('configs/') : -len('.yaml')]}.md"
    page = path if path.endswith(PICTURES) else f"{SOURCES}/{path}.md"
    linked[page] = ROOT / path
    return page


def api_page(folder):
    """Returns the page of the modules in a folder of the package, such as detkit/data/readers."""
    return f"{API}/{folder.replace('/', '.')}.md"


def source_page(path):
    """Returns a page that shows a file, and that the search passes over."""
    name = path.relative_to(ROOT).as_posix()
    head = f"---\nsearch: {{exclude: true}}\n---\n\n# {name}\n\n"
    return head + code(path.read_text(encoding="utf-8"), LANGUAGES.get(path.suffix, "text"))


def code(text, language):
    """Returns a block of code, whose fence is longer than any within it."""
    fence = "`" * max([3, *(len(found) + 1 for found in re.findall("`+", text))])
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"
