from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import serving
from . import stand_in as stand_ins

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FAILED = re.compile(
    r"Failed to load resource: (the server responded with a status of 4"
    r"|net::ERR_(INCOMPLETE_CHUNKED_ENCODING|INTERNET_DISCONNECTED)$)"
)
"""What a browser says on its console of a server that refuses, breaks off or is gone."""
CLIENTS = Path(__file__).parents[2] / ".venv-clients"
CLIENT_S = 180
"""Seconds for a client's whole program; some take ten to be imported."""


@pytest.fixture(scope="module")  # not longer: its event loop would be in the way of other tests
def chromium() -> Iterator[Browser]:
    """A real browser; ``RELAYGEN_CHROMIUM`` names another than the one on the path."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = os.environ.get("RELAYGEN_CHROMIUM") or next(
        filter(None, map(shutil.which, CHROMIUM)), None
    )
    if found is None:
        pytest.skip("there is no Chromium here (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield browser
        browser.close()


class Watched:
    """A page, and what it did that a page of ours never does.

    Attributes:
        page: the page.
        misdeeds: errors, messages on the console, dialogs, requests to elsewhere.
    """

    def __init__(self, page: Page, allowed: str) -> None:
        self.page = page
        self.misdeeds: list[str] = []
        page.on("pageerror", lambda error: self.misdeeds.append(f"error: {error}"))
        page.on("console", lambda message: self._message(message.text))
        page.on("dialog", lambda dialog: self._dialog(dialog))
        page.on("request", lambda request: self._request(request.url, allowed))
        page.on("popup", lambda popup: self.misdeeds.append(f"window: {popup.url}"))

    def _message(self, text: str) -> None:
        if not FAILED.match(text):
            self.misdeeds.append(f"console: {text}")

    def _dialog(self, dialog: Any) -> None:
        self.misdeeds.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, url: str, allowed: str) -> None:
        if not url.startswith((allowed, "data:image/svg+xml,", "blob:")):
            self.misdeeds.append(f"request: {url}")

    def wide(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(
            self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )

    def hacked(self) -> bool:
        return bool(self.page.evaluate("'hacked' in window"))


@pytest.fixture
def watch(chromium: Browser) -> Iterator[Any]:
    """Opens pages, each in a fresh profile; at the end none of them may have misbehaved."""
    opened: list[Watched] = []

    def open_page(url: str, **options: Any) -> Watched:
        context = chromium.new_context(**options)
        context.set_default_timeout(30_000)
        watched = Watched(context.new_page(), allowed=url)
        opened.append(watched)
        watched.page.goto(url)
        return watched

    yield open_page
    for watched in opened:
        watched.page.context.close()
    assert [misdeed for watched in opened for misdeed in watched.misdeeds] == []


@pytest.fixture
def gateway() -> Iterator[stand_ins.StandIn]:
    with stand_ins.running() as stand_in:
        yield stand_in


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where pictures go: ``RELAYGEN_SCREENSHOTS``, for those who want to look at them."""
    folder = Path(os.environ.get("RELAYGEN_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def gateway_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``relaygen serve`` with the embedded pair."""
    with serving.served(serving.embedded(tmp_path_factory.mktemp("serve"))) as url:
        yield url


@pytest.fixture(scope="session")
def keyed_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same for holders of a key: `serving.KEYS`."""
    folder = tmp_path_factory.mktemp("keyed")
    with serving.served(serving.embedded_with(folder, serving.KEYS_CONFIG)) as url:
        yield url


@pytest.fixture(scope="session")
def openai() -> Any:
    """OpenAI's Python client. A skip while a file is read would be one of the fast tests, too."""
    return pytest.importorskip("openai", reason="pip install 'relaygen[e2e]'")


@pytest.fixture(scope="session")
def clients() -> Path:
    """The programs of the clients' own environment: ``python``, ``node``, ``st``."""
    ready = Path(os.environ.get("RELAYGEN_TEST_CLIENTS") or CLIENTS)
    if not (ready / ".ready").exists():
        pytest.skip("the other clients are not installed (make test-all)")
    return ready / "bin"


@pytest.fixture(scope="module")
def told_by(clients: Path, gateway_url: str, keyed_url: str) -> Callable[[str], Any]:
    """Runs a program of ``clients/`` against both gateways; what it prints is JSON."""

    def run(name: str) -> Any:
        interpreter = "node" if name.endswith(".mjs") else "python"
        script = Path(__file__).parent / "clients" / name
        asked = json.dumps(
            {
                "url": f"{gateway_url}/v1",
                "keyed_url": f"{keyed_url}/v1",
                "key": serving.KEYS[name.partition("_")[0]],
                "model": serving.MODEL,
                "question": serving.PROBLEM.question,
            }
        )
        ended = subprocess.run(
            [clients / interpreter, script, asked],
            capture_output=True,
            text=True,
            timeout=CLIENT_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-4000:]
        return json.loads(ended.stdout)

    return run
