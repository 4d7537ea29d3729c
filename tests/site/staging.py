"""Writes the pages of the site into a folder that mkdocs reads (`.ci/mkdocs.yml`).

The documents are written for GitHub: they link to each other, to README.md and to files of the repository, relative to
their own place. Here every such link gets the place that its target has in the site. Nothing here knows mkdocs, so
another generator can read the same folder.
"""

import posixpath
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from fenced.api.openapi import document
from fenced.api.routes import ROUTES
from tests.house.prose import LINK, OUTSIDE
from tests.house.tree import ROOT, files
from tests.site.http_api import page as http_api_page

CONFIGURATION: Final = ROOT / ".ci/mkdocs.yml"
BUILD: Final = ROOT / "build"
RENAMED: Final = {"README.md": "index.md", "docs/README.md": "reading.md", "CHANGELOG.md": "changelog.md"}
"""Document of the repository -> page of the site. All others keep their place below docs/."""
HTTP_API: Final = "http-api.md"
DIAGRAMS: Final = "mermaid.min.js"
MERMAID: Final = (
    "mermaid@11.17.2",  # the theme is written for mermaid 11
    "dist/mermaid.min.js",
    "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8",
)
"""The package, the file in it, and its digest."""
SHEET: Final = "site.css"
STYLES: Final = """\
.md-typeset table:not([class]) td code { white-space: normal; overflow-wrap: anywhere }
.md-typeset table:not([class]) th { min-width: 4rem }
.md-typeset img[src*="pictures/"] { width: 100% }
.md-grid { max-width: 76rem }
@media (max-width: 44.9375em) {
  .md-typeset .diagram, .md-typeset p:has(> img[src*="pictures/"]) { overflow-x: auto }
  .md-typeset .diagram > .mermaid, .md-typeset img[src*="pictures/"] { width: 35rem; max-width: none }
  .md-typeset table:not([class]) td code { overflow-wrap: normal; word-break: normal }
}
"""
"""On a phone a wide picture scrolls instead of shrinking until no one can read it, and a name stays in one piece."""
DIAGRAM: Final = re.compile(r"^```mermaid\n.*?^```$", re.DOTALL | re.MULTILINE)
FENCED_BLOCK: Final = re.compile(r"^(?: *)```.*?^(?: *)```$", re.DOTALL | re.MULTILINE)


def pages() -> Mapping[str, str]:
    """Return document of the repository -> page of the site."""
    documents = [path.relative_to(ROOT).as_posix() for path in files() if path.suffix == ".md"]
    return {name: RENAMED.get(name) or name.removeprefix("docs/") for name in documents if _is_published(name)}


def write_pages(folder: Path) -> None:
    """Write every page, the files to which pages link, and what the browser needs. Replaces the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    known = pages()
    for name, page in known.items():
        text, linked = rewritten(name, (ROOT / name).read_text(encoding="utf-8"), known)
        _write(folder / page, DIAGRAM.sub(_in_a_frame, text))
        for file, place in linked.items():
            if not (ROOT / file).is_file():
                continue  # mkdocs names the link
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, folder / place)
    _write(folder / HTTP_API, http_api_page(document(ROUTES)))
    _write(folder / SHEET, STYLES)
    subprocess.run([ROOT / ".ci/fetch-npm", BUILD / DIAGRAMS, *MERMAID], check=True, timeout=120)
    shutil.copyfile(BUILD / DIAGRAMS, folder / DIAGRAMS)


def _in_a_frame(diagram: re.Match[str]) -> str:
    return f'<div class="diagram" markdown="1">\n\n{diagram[0]}\n\n</div>'


def rewritten(name: str, text: str, known: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the text of a document for its place in the site, and which other files it needs, where."""
    linked: dict[str, str] = {}

    def replaced(match: re.Match[str]) -> str:
        target = match["target"]
        if OUTSIDE.match(target) or target.startswith("#"):
            return match[0]
        path, hash_, anchor = target.partition("#")
        found = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        place = known.get(found)
        if place is None:
            place = linked[found] = _place(found)
        start = posixpath.dirname(known[name]) or "."
        return match[0].replace(f"({target})", f"({posixpath.relpath(place, start)}{hash_}{anchor})")

    return _outside_blocks(text, lambda prose: LINK_OR_PICTURE.sub(replaced, prose)), linked


LINK_OR_PICTURE: Final = re.compile(LINK.pattern.removeprefix("(?<!!)"))


def _outside_blocks(text: str, change: Callable[[str], str]) -> str:
    return "".join(part if is_block else change(part) for is_block, part in _parts(text))


def _parts(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the text in pieces, and whether each is a block of code."""
    end = 0
    for match in FENCED_BLOCK.finditer(text):
        yield False, text[end : match.start()]
        yield True, match[0]
        end = match.end()
    yield False, text[end:]


def _place(file: str) -> str:
    """Return where a file that is no page is in the site. Pictures are below docs/ and stay; a browser shows text."""
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    return f"files/{file}.txt"


def _is_published(name: str) -> bool:
    return name.startswith("docs/") or name in RENAMED


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
