"""Writes the generated parts of ``docs/``: ``python -m tests.docs``. A test finds stale ones.

A part stands between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``; `PARTS` says what belongs
there. Parts that are not in `PARTS` are none of this module's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

from relaygen.engines.pool import health
from relaygen.relay import states
from tests.cli import help_pages, model_memory
from tests.settings import page as settings_page

DOCS = Path(__file__).parent.parent / "docs"


def transition_table(
    transitions: Mapping[tuple[StrEnum, StrEnum], StrEnum],
    rows: type[StrEnum],
    columns: type[StrEnum],
) -> str:
    """A table of transitions in Markdown, one row a state; what is not in it is left empty."""
    lines = [f"| | {' | '.join(f'`{trigger}`' for trigger in columns)} |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for state in rows:
        cells = (transitions.get((state, trigger), "") for trigger in columns)
        lines.append(f"| **{state}** | {' | '.join(cells)} |")
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "transitions": lambda: transition_table(states.TRANSITIONS, states.State, states.Trigger),
    "replicas": lambda: transition_table(health.TRANSITIONS, health.ReplicaState, health.Trigger),
    "memory": model_memory.table,
    **help_pages.parts(),
    **settings_page.parts(),
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
