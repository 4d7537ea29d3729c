"""The built site: strictly without faults, the headings' names as on GitHub, and alone with the reader's browser."""

import functools
import html.parser
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from tests.house.prose import anchors
from tests.house.tree import ROOT
from tests.needs import needs
from tests.site.browser import Page, browser
from tests.site.build import SiteError, build, run_mkdocs
from tests.site.staging import pages

pytestmark = [pytest.mark.integration, needs("npm", "chromium"), pytest.mark.timeout(300)]
PHONE_WIDTH: Final = 390
WITH_DIAGRAMS: Final = ("index", "concepts", "security-model")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("docs"))


def test_headings_have_the_names_that_they_have_on_github(site: Path) -> None:
    """So a link to a heading works in both."""
    lost = {
        f"{name}#{anchor}"
        for name, page in pages().items()
        for anchor in anchors(ROOT / name) - _ids(site / page.replace("README.md", "index.md").replace(".md", ".html"))
    }
    assert lost == set()


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    text = "# One\n\n[a](#no-such-heading) [b](no-such-page.md) ![c](no-such-picture.svg)\n"
    (tmp_path / "pages/index.md").write_text(text)
    with pytest.raises(SiteError) as raised:
        run_mkdocs(tmp_path, navigation=("index.md", "nowhere.md"))
    for fault in ("#no-such-heading", "no-such-page.md", "no-such-picture.svg", "nowhere.md"):
        assert fault in str(raised.value)


async def test_a_browser_shows_it_and_requests_nothing_from_elsewhere(site: Path, tmp_path: Path) -> None:
    with _served(site) as address:
        async with browser(tmp_path) as chromium:
            page = await chromium.page()
            for name in WITH_DIAGRAMS:
                await page.open(f"{address}/{name}.html")
                await _diagrams_are_drawn(page)
            await page.open(f"{address}/concepts.html")
            pictures = "[...document.querySelectorAll('article img')]"
            await page.until(f"{pictures}.every(each => each.complete)")
            assert await page.value(f"{pictures}.map(each => each.naturalWidth > 0)") == [True] * 4
            await page.value("document.querySelector('[data-md-toggle=search]').click()")
            await page.value(
                "{const box = document.querySelector('[data-md-component=search-query]'); box.focus();"
                " box.value = 'stagger'; box.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}));}"
            )
            await page.until("document.querySelector('.md-search-result__link')")
            found = "[...document.querySelectorAll('.md-search-result__link')].map(each => each.pathname)"
            assert "/concepts.html" in await page.value(found)
    assert page.complaints == []
    assert {each for each in page.requested if not each.startswith((address, "data:", "blob:"))} == set()
    assert sum(each.startswith(address) for each in page.requested) > len(WITH_DIAGRAMS)


async def test_on_a_phone_pictures_scroll_and_names_in_tables_stay_whole(site: Path, tmp_path: Path) -> None:
    with _served(site) as address:
        async with browser(tmp_path) as chromium:
            page = await chromium.page()
            await page.resize(width=PHONE_WIDTH, height=800)
            await page.open(f"{address}/states.html")
            broken = (
                "[...document.querySelectorAll('td code')].filter(each => /^[a-z_]+$/.test(each.textContent)"
                " && each.getClientRects().length > 1).map(each => each.textContent)"
            )
            assert await page.value(broken) == []
            for name in WITH_DIAGRAMS:
                await page.open(f"{address}/{name}.html")
                await _diagrams_are_drawn(page)
                wide = (
                    "[...document.querySelectorAll('div.mermaid, article img[src*=pictures]')].map(e => e.offsetWidth)"
                )
                assert min(await page.value(wide)) > 1.5 * PHONE_WIDTH
                assert await page.value("document.documentElement.scrollWidth") <= PHONE_WIDTH


async def _diagrams_are_drawn(page: Page) -> None:
    """The theme puts each diagram into a closed shadow root; until then its source is shown in a `pre`."""
    await page.until("document.querySelector('div.mermaid') && !document.querySelector('pre.mermaid')")
    heights = await page.value("[...document.querySelectorAll('div.mermaid')].map(each => each.offsetHeight)")
    assert min(heights) > 50, heights


class _Identifiers(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.update(value for key, value in attrs if key == "id" and value)


def _ids(page: Path) -> set[str]:
    parser = _Identifiers()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.found


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, name="site", daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
