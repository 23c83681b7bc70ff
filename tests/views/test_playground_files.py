"""What a gateway is given to serve as the playground."""

from __future__ import annotations

import re

from relaygen.views.html import MODULES, asset
from relaygen.views.playground import HEADERS, files


def test_page_needs_nothing_but_the_files() -> None:
    page = files()["/"][1].decode()
    named = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert {f"/{name}" for name in named if not name.startswith("data:")} < set(files())
    for kind, body in files().values():
        for module in re.findall(r'from "\./([^"]+)"', body.decode()):
            assert f"/playground/{module}" in files()
        assert kind.endswith("; charset=utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", body.decode())


def test_policy_would_not_block_the_page_itself() -> None:
    page = files()["/"][1].decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    assert HEADERS["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    )


def test_view_is_the_one_of_the_trace_page() -> None:
    for name in ("view.css", *MODULES):
        assert files()[f"/playground/{name}"][1].decode() == asset(name)


def test_no_script_parses_html() -> None:
    sinks = r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|eval\(|new Function"
    for path, (_, body) in files().items():
        if path.endswith(".js"):
            assert not re.search(sinks, body.decode()), path


def test_every_label_has_its_field() -> None:
    page = files()["/"][1].decode()
    script = files()["/playground/playground.js"][1].decode()
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    assert set(re.findall(r'field\("([^"]+)"\)', script)) <= ids
    assert set(re.findall(r'\bfor="([^"]+)"', page)) <= ids
