"""What a server sends for the playground."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from relaygen.views.html.assets import ICON, MODULES, asset

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "data:",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "form-action": "'none'",
}

HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }
)
"""Headers that every one of these files must be sent with."""

_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_OWN: Final = ("playground.css", "playground.js", "completions.js", "following.js", "recording.js")
_SHARED: Final = ("view.css", *MODULES)


@cache
def files() -> Mapping[str, tuple[str, bytes]]:
    """The files by their paths, each with its content type; the page itself is at ``/``.

    The page names the others, and the API at ``v1/``, by relative paths, so that all of it works
    under a prefix too.
    """
    here = __package__
    pages = {"/": ("html", asset("index.html", here).replace("{icon}", ICON))}
    pages |= {f"/playground/{name}": (_ending(name), asset(name, here)) for name in _OWN}
    pages |= {f"/playground/{name}": (_ending(name), asset(name)) for name in _SHARED}
    return MappingProxyType(
        {
            path: (f"{_TYPES[ending]}; charset=utf-8", text.encode())
            for path, (ending, text) in pages.items()
        }
    )


def _ending(name: str) -> str:
    return name.rpartition(".")[2]
