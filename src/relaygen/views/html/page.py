"""Generations of one question as a page in one file.

The page may load nothing and run nothing but its own script, and that is enforced by the browser:
script and style are allowed by their hash, and no text can be parsed as HTML (trusted types). What
models wrote lies in a block of JSON that cannot end early, and is shown as text nodes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any, Final

from relaygen.views.html.assets import ICON, asset, script
from relaygen.views.printable import one_line

_TITLE_LENGTH: Final = 60
_OUTSIDE_SCRIPTS: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_PAGE: Final = Template(asset("page.html"))


def trace_page(generations: Sequence[Mapping[str, Any]]) -> str:
    """Draws generations side by side.

    Args:
        generations: objects as ``relaygen run --trace`` writes them, of one question, at least one.

    Returns:
        A whole HTML document, to be written as UTF-8, which needs no other file.
    """
    style, shown = asset("view.css"), script() + "\nshowPage();\n"
    return _PAGE.substitute(
        policy=html.escape(_policy(style, shown)),
        title=html.escape(_title(generations)).encode("ascii", "xmlcharrefreplace").decode(),
        icon=html.escape(ICON),
        style=style,
        script=shown,
        data=json_in_script({"generations": list(generations)}),
    )


def json_in_script(value: Any) -> str:
    """JSON that can stand in a ``<script>`` block: it holds no markup, and only ASCII."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.translate(_OUTSIDE_SCRIPTS)


def _policy(style: str, script: str) -> str:
    rules = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _title(generations: Sequence[Mapping[str, Any]]) -> str:
    messages = (generations[0].get("run") or {}).get("messages") or []
    asked = [m.get("content") for m in messages if m.get("role") == "user"]
    if not asked or not isinstance(asked[-1], str):
        return "RelayGen trace"
    question = one_line(asked[-1])
    shown = question if len(question) <= _TITLE_LENGTH else question[: _TITLE_LENGTH - 1] + "…"
    return f"{shown} · RelayGen"
