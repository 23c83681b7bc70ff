"""Writes the generated parts of ``docs/``: ``python -m tests.docs``. A test finds stale ones.

A part stands between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``; `PARTS` says what belongs
there. Parts that are not in `PARTS` are none of this module's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from relaygen.relay.states import transition_table
from tests.cli import help_pages, model_memory

DOCS = Path(__file__).parent.parent / "docs"

PARTS: dict[str, Callable[[], str]] = {
    "transitions": transition_table,
    "memory": model_memory.table,
    **help_pages.parts(),
}


def rendered(text: str) -> str:
    """The text with every generated part written anew.

    Raises:
        ValueError: a marker of a part has no other half.
    """
    for name, generate in PARTS.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        part = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
        if begin in part.sub("", text) or end in part.sub("", text):
            raise ValueError(f"a marker of the part {name!r} has no other half")
        if begin in text:
            # Blank lines around it, without which Markdown reads a table as text.
            new = f"{begin}\n\n{generate().strip()}\n\n{end}"
            text = part.sub(lambda _, new=new: new, text)  # type: ignore[misc]
    return text


def pages() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def main() -> None:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = rendered(text)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(f"wrote {page.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
