"""The style and the script that draw generations, shared by the page and the playground."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

ICON: Final = (
    "data:image/svg+xml,"
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 28 20'%3E"
    "%3Crect x='1' y='2' width='17' height='7' rx='2' fill='%233470c4'/%3E"
    "%3Crect x='12' y='11' width='15' height='7' rx='2' fill='%23dd8a1c'/%3E%3C/svg%3E"
)
"""The icon of a page; it needs ``img-src data:``."""


MODULES: Final = ("elements.js", "figures.js", "segments.js", "timeline.js", "text.js", "view.js")
"""The script, each part after those that it imports."""

_MODULE_WORDS: Final = re.compile(r"^(?:import [^;]*;\n|export )", re.M)


@cache
def asset(name: str, package: str = __package__) -> str:
    """A text file of this package, or of another one."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


@cache
def script() -> str:
    """The script as one text, for a page that may load nothing: `MODULES` in one module's scope."""
    return "\n".join(_MODULE_WORDS.sub("", asset(name)) for name in MODULES)
