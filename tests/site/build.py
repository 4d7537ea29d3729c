"""Builds the site with mkdocs, as strictly as it can."""

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from tests.site.staging import CONFIGURATION, write_pages

BUILD_SECONDS: Final = 240


class SiteError(Exception):
    """mkdocs refused the pages."""


def build(folder: Path) -> Path:
    """Write the pages below `folder`, build the site from them, and return its folder."""
    write_pages(folder / "pages")
    return run_mkdocs(folder)


def run_mkdocs(folder: Path, navigation: Sequence[str] = ()) -> Path:
    """Build `site` from `pages`, both below `folder`. `navigation` replaces that of the configuration."""
    configuration = folder / "mkdocs.yml"
    text = CONFIGURATION.read_text(encoding="utf-8").replace("../build/", "")
    if navigation:
        text = text.partition("\nnav:")[0] + "\nnav:\n" + "".join(f"  - {page}\n" for page in navigation)
    configuration.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean", "-f", str(configuration)]
    # Without --quiet, which hides the warnings from --strict as well.
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # the theme advertises its successor otherwise
    done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, timeout=BUILD_SECONDS)
    if done.returncode != 0:
        raise SiteError(done.stdout + done.stderr)
    return folder / "site"


def serve(site: Path, port: int) -> None:
    """Serve the site on the loopback address until interrupted."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"docs: http://127.0.0.1:{server.server_port}/")
        server.serve_forever()
