"""A browser without a window: it keeps cookies, follows no link by itself, and sends forms as they stand on a page."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import aiohttp

from tests.api.conftest import Api


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form of a page. `fields`: its inputs with their values."""

    method: str
    action: str
    fields: dict[str, str]


class _Reader(HTMLParser):
    """Collects forms, and what a policy without inline forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.inline += [f"{tag} {key}" for key in given if key == "style" or key.startswith("on")]
        match tag:
            case "form":
                self.forms.append(Form(method=given.get("method", "get"), action=given["action"], fields={}))
            case "input" if self.forms and "name" in given and given.get("type") != "checkbox":
                self.forms[-1].fields[given["name"]] = given.get("value", "")
            case "script":
                self.inline += [] if "src" in given else ["script"]
                self.loaded.append(given.get("src", ""))
            case "style":
                self.inline.append("style")
            case "link":
                self.loaded.append(given["href"])
            case "a" if "href" in given:
                self.links.append(given["href"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the browser got."""

    status: int
    text: str
    headers: dict[str, str]
    cookies: dict[str, str]
    reader: _Reader

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    def form(self, action: str) -> Form:
        """Return the only form with that address."""
        (found,) = (form for form in self.reader.forms if form.action == action and form.method == "post")
        return found

    def has_form(self, action: str) -> bool:
        return any(form.action == action for form in self.reader.forms)


@dataclass(slots=True)
class Visitor:
    """One browser at one daemon."""

    url: str
    client: aiohttp.ClientSession
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> Answer:
        async with self.client.get(
            self.url + path, headers=self._headers(headers), allow_redirects=False
        ) as response:  # fmt: skip
            return await self._read(response)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Send fields as a form of the page does. A header of "" is left out."""
        given = {"Origin": self.url, **headers}
        kept = {name.replace("_", "-"): value for name, value in given.items() if value}
        async with self.client.post(
            self.url + path, data=fields, headers=self._headers(kept), allow_redirects=False
        ) as response:  # fmt: skip
            return await self._read(response)

    async def fill(self, page: str, action: str, **fields: str) -> Answer:
        """Open a page, fill one of its forms and send it."""
        form = (await self.get(page)).form(action)
        return await self.post(action, {**form.fields, **fields})

    async def log_in(self, secret: str) -> Answer:
        return await self.fill("/login", "/login", secret=secret)

    def _headers(self, given: dict[str, str]) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {**given, **({"Cookie": cookie} if cookie else {})}

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        for name, morsel in response.cookies.items():
            if morsel.value:
                self.cookies[name] = morsel.value
            else:
                self.cookies.pop(name, None)
        reader = _Reader()
        is_text = response.content_type.startswith("text/")
        text = await response.text() if is_text else ""
        if response.content_type == "text/html":
            reader.feed(text)
        return Answer(
            status=response.status, text=text, headers=dict(response.headers), reader=reader,
            cookies={name: morsel.OutputString() for name, morsel in response.cookies.items()},
        )  # fmt: skip


@contextlib.asynccontextmanager
async def visitor(api: Api, secret: str = "") -> AsyncIterator[Visitor]:
    """Open a browser; `secret`: the token with which it is logged in."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        found = Visitor(api.url, client)
        if secret:
            answer = await found.log_in(secret)
            assert answer.status == 303, answer.text
        yield found
