"""What mkdocs calls while it builds the site: collects the pages, and completes the navigation."""

import posixpath

import guides
import reference
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, InclusionLevel
from mkdocs.structure.nav import Link, Section


def on_config(config):
    """Puts the generated pages into the navigation, before the changes."""
    config.nav.insert(-1, {"Reference": reference.navigation()})
    return config


def on_files(files, config):
    """Adds the guides, the pages that are made of the package, and the files that they show."""
    pages = {**guides.read(), **reference.pages()}
    linked = {}
    for uri, text in pages.items():
        if uri in guides.GUIDES:
            text = guides.with_site_links(text, uri, linked)
        files.append(File.generated(config, uri, content=text))
    hidden = InclusionLevel.NOT_IN_NAV
    for uri, path in linked.items():
        if path.suffix in guides.PICTURES:
            files.append(File.generated(config, uri, abs_src_path=str(path)))
        else:
            text = guides.source_page(path)
            files.append(File.generated(config, uri, content=text, inclusion=hidden))
    return files


def on_nav(nav, config, files):
    """Turns the links to sections, GUIDE.md#section, into addresses of the site."""
    for link in _links(nav.items):
        uri, _, section = link.url.partition("#")
        file = files.get_file_from_path(uri)
        if file is None:
            raise PluginError(f"mkdocs.yml: nav: {link.url}: expected a page before the #")
        config.extra.setdefault("sections", []).append((uri, section))
        link.url = f"{file.url}#{section}"
    return nav


def on_env(env, config, files):
    """Raises PluginError if the navigation names a section that its page does not have."""
    for uri, section in config.extra.get("sections", ()):
        toc = files.get_file_from_path(uri).page.toc
        if section not in set(_ids(toc)):
            raise PluginError(f"mkdocs.yml: nav: {uri} has no section with the address #{section}")
    return env


def _links(items):
    for item in items:
        if isinstance(item, Section):
            yield from _links(item.children)
        elif isinstance(item, Link) and "#" in item.url:
            yield item


def _ids(toc):
    for entry in toc:
        yield posixpath.basename(entry.url).lstrip("#")
        yield from _ids(entry.children)
