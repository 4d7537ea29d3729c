"""A person's ways through the page, in Debian's Chromium, at a desk and with a phone."""

import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from fenced.model.names import HostName
from fenced.model.power import Action, State
from fenced.ports.control import StormView
from tests.api.conftest import Api
from tests.api.test_storms import LASTS
from tests.house.tree import ROOT
from tests.needs import needs
from tests.net import until
from tests.site.browser import Page, browser

pytestmark = [pytest.mark.integration, needs("npm", "chromium"), pytest.mark.timeout(300)]
DESK: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 800}
AXE: Final = (
    "axe-core@4.14.1",
    "axe.min.js",
    "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
)
"""The package, the file in it, and its digest."""
NODE: Final = HostName("node-3")


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """An empty tab."""
    async with browser(tmp_path) as chromium:
        yield await chromium.page()


@pytest.fixture(scope="module")
def axe() -> str:
    """The text of axe-core."""
    file = ROOT / "build/axe.min.js"
    subprocess.run([ROOT / ".ci/fetch-npm", file, *AXE], check=True, timeout=120)
    return file.read_text(encoding="utf-8")


def trouble(api: Api) -> None:
    """Let node-3 be dead, in a rack with a storm."""
    api.control.states[NODE] = replace(api.control.states[NODE], state=State.SUSPECT)
    api.control.storms = [StormView(storm=LASTS, silent=(NODE,))]


async def click(page: Page, words: str) -> None:
    """Press the link or button with these words, and wait for the next page."""
    page.expect_load()
    await page.value(
        f"[...document.querySelectorAll('a, button')].find(each => each.textContent.trim() === {words!r}).click()"
    )
    await page.loaded()


async def fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        await page.value(f"document.querySelector('main [name={name}]').value = {value!r}")


async def words(page: Page) -> str:
    return str(await page.value("document.querySelector('main').innerText"))


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_from_the_dead_host_to_its_power_back(api: Api, page: Page, size: dict[str, int]) -> None:
    trouble(api)
    await page.resize(**size)
    await page.open(api.url)
    assert "storm in rack=r7" in await words(page)
    await page.value("document.querySelector('#find').value = 'node-3'")
    await click(page, "Find")
    assert await page.value("location.pathname") == "/hosts/node-3"
    assert "suspect" in await words(page)
    await click(page, "Storms")
    await fill(page, reason="its feed is broken")
    await click(page, "Release")
    assert [call[0] for call in api.control.calls] == ["release_storm"]
    await page.open(f"{api.url}/hosts/node-3")
    await click(page, "Power off")
    await fill(page, typed="node-3", reason="it hangs")
    await click(page, "Power off")
    assert str(await page.value("location.pathname")).startswith("/operations/")
    assert "running" in await words(page)
    await page.open(f"{api.url}/hosts/node-3")
    await click(page, "Power on")
    await click(page, "Power on")
    assert [call[2] for call in api.control.calls if call[0] == "act"] == [Action.OFF, Action.ON]
    width = await page.value("document.documentElement.scrollWidth")
    assert width <= size["width"], "the page is wider than the screen"
    assert page.complaints == []
    assert all(address.startswith(api.url) for address in page.requested)


async def test_what_happens_is_on_the_page_without_a_reload(api: Api, page: Page) -> None:
    await page.open(api.url)
    await until(lambda: api.control.watchers == 1)
    api.control.states[NODE] = replace(api.control.states[NODE], state=State.FENCED)
    api.control.emit("fenced", NODE)
    await page.until("document.getElementById('h-node-3').classList.contains('fenced')")
    assert "fenced" in str(await page.value("document.getElementById('counts').innerText"))
    assert page.complaints == []


async def test_a_hidden_tab_has_no_stream_and_misses_nothing(api: Api, page: Page) -> None:
    await page.open(api.url)
    await until(lambda: api.control.watchers == 1)
    await page.value("Object.defineProperty(document, 'hidden', {get: () => window.isHidden, configurable: true})")
    await page.value("window.isHidden = true; document.dispatchEvent(new Event('visibilitychange'))")

    async def is_closed() -> bool:
        api.control.emit("healthy", HostName("node-1"))  # the server notices when it writes
        return api.control.watchers == 0

    await until(is_closed)
    api.control.states[NODE] = replace(api.control.states[NODE], state=State.FAILED)
    api.control.emit("failed", NODE)
    await page.value("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    await page.until("document.getElementById('h-node-3').classList.contains('failed')")
    assert page.complaints == ["loading failed: net::ERR_ABORTED"]  # the stream that the page closed


async def test_focus_and_what_is_open_survive_a_fragment(api: Api, page: Page) -> None:
    trouble(api)
    await page.open(f"{api.url}/hosts/node-3")
    await until(lambda: api.control.watchers == 1)
    await page.value("document.getElementById('act-off').focus(); document.getElementById('gates').open = true")
    api.control.states[NODE] = replace(api.control.states[NODE], state=State.FENCING)
    api.control.emit("fencing", NODE)
    await page.until("document.querySelector('#state h1').innerText.includes('fencing')")
    assert await page.value("document.activeElement.id") == "act-off"
    assert await page.value("document.getElementById('gates').open") is True


async def test_what_is_typed_is_not_replaced(api: Api, page: Page) -> None:
    trouble(api)
    await page.open(f"{api.url}/storms")
    await until(lambda: api.control.watchers == 1)
    await fill(page, reason="half a sen")
    for silent in ((), (NODE,)):
        api.control.storms = [StormView(storm=LASTS, silent=silent)]
        api.control.emit("storm", "node-3")
    api.control.emit("storm", "node-3")
    await page.until("performance.now() > 2000")
    assert await page.value("document.querySelector('main [name=reason]').value") == "half a sen"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(api: Api, page: Page, axe: str, scheme: str) -> None:
    trouble(api)
    await api.control.pause(match="rack=r7", by="alice", reason="switch work", until=None)
    await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    for address in ("/", "/?state=suspect", "/hosts/node-2", "/hosts/node-1/off", "/operations", "/operations/1-7",
                    "/storms", "/pauses", "/fleet/disarm", "/login", "/hosts/nope"):  # fmt: skip
        await page.open(api.url + address)
        await page.value(axe)
        found = await page.value(
            "axe.run({resultTypes: ['violations']}).then(all => all.violations.map("
            "one => one.id + ': ' + one.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | ')))"
        )
        assert found == [], address


async def test_a_phone_shows_every_page_without_scrolling_sideways(api: Api, page: Page) -> None:
    trouble(api)
    await page.resize(**PHONE)
    for address in ("/", "/hosts/node-2", "/hosts/node-1/off", "/operations", "/operations/1-7", "/storms", "/pauses"):
        await page.open(api.url + address)
        assert await page.value("document.documentElement.scrollWidth") <= PHONE["width"], address


async def test_the_way_by_keyboard(api: Api, page: Page) -> None:
    """The first key leads past the navigation."""
    await page.open(f"{api.url}/hosts/node-2")
    await page.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert await page.value("document.activeElement.className") == "skip"
    order = await page.value(
        "[...document.querySelectorAll('a, button, input, select, summary')].every(each => each.tabIndex >= 0)"
    )
    assert order is True
