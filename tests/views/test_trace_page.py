"""The page of a trace as text: nothing from outside gets in, and nothing gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.views.html import MODULES, asset, script, trace_page
from relaygen.views.html.page import json_in_script
from tests.views.generations import HOSTILE, QUESTION, generation, hostile


class _Document(HTMLParser):
    """The elements of a page, as a browser without scripts would see them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = f"{tag} {dict(attrs).get('type') or ''}".strip()

    def handle_data(self, data: str) -> None:
        self.texts[self._open] = self.texts.get(self._open, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def _policy(document: _Document) -> dict[str, str]:
    (content,) = [a["content"] for _, a in document.elements if a.get("http-equiv")]
    assert content is not None
    return dict(rule.split(" ", 1) for rule in content.split("; "))


@pytest.mark.parametrize("made", [generation(), hostile()], ids=["harmless", "hostile"])
def test_text_of_models_adds_no_element(made: dict[str, object]) -> None:
    usual = _Document(trace_page([generation()]))
    document = _Document(trace_page([made]))
    assert [tag for tag, _ in document.elements] == [tag for tag, _ in usual.elements]
    assert json.loads(document.texts["script application/json"]) == {"generations": [made]}


def test_page_names_nothing_outside_itself() -> None:
    document = _Document(trace_page([generation()]))
    for _, attributes in document.elements:
        for name in ("src", "href", "action", "srcset", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
    assert not re.search(r"@import|url\(", document.texts["style"])
    assert not any(name.startswith("on") for _, a in document.elements for name in a)


def test_policy_allows_the_one_script_and_the_one_style_only() -> None:
    document = _Document(trace_page([hostile()]))
    policy = _policy(document)
    assert policy["default-src"] == "'none'"
    for rule, text in [("script-src", "script module"), ("style-src", "style")]:
        digest = hashlib.sha256(document.texts[text].encode()).digest()
        assert policy[rule] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert "connect-src" not in policy
    assert "unsafe" not in " ".join(policy.values())


def test_title_is_the_question() -> None:
    assert f"<title>{QUESTION[:59]}" in trace_page([generation()])
    assert "<title>&lt;/script&gt;&lt;img" in trace_page([hostile()])


def test_object_without_run_has_a_page_too() -> None:
    made = generation()
    del made["run"]
    assert "<title>RelayGen trace</title>" in trace_page([made])


@given(st.text())
def test_json_holds_no_markup_and_comes_back(text: str) -> None:
    encoded = json_in_script({"text": text, text: HOSTILE})
    assert not set(encoded) & set("<>&\u2028\u2029")
    assert encoded.isascii()
    assert json.loads(encoded) == {"text": text, text: HOSTILE}


def test_assets_cannot_end_the_block_they_stand_in() -> None:
    assert "</script" not in script().lower()
    assert "<!--" not in script()
    assert "</style" not in asset("view.css").lower()


def test_script_never_parses_html() -> None:
    sinks = r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|eval\(|new Function"
    assert not re.search(sinks, script())


def test_script_is_one_module_that_asks_for_no_other() -> None:
    assert not re.search(r"^\s*(import|export)\b", script(), re.M)
    declared = re.findall(r"^(?:function|class|const) (\w+)", script(), re.M)
    assert len(declared) == len(set(declared))
    for at, name in enumerate(MODULES):
        for needed in re.findall(r'from "\./([^"]+)"', asset(name)):
            assert needed in MODULES[:at]
