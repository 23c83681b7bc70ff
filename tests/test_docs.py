"""The generated parts of the documentation are those that ``make docs`` would write."""

from __future__ import annotations

from pathlib import Path

import pytest

from relaygen.relay.states import TRANSITIONS, State, Trigger
from tests.docs import DOCS, PARTS, pages, rendered, transition_table


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(DOCS)))
def test_no_page_is_stale(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == rendered(text), "stale: run `make docs`"


def test_every_generated_part_is_on_one_page() -> None:
    texts = [page.read_text(encoding="utf-8") for page in pages()]
    for name in PARTS:
        assert sum(text.count(f"<!-- begin: {name} -->") for text in texts) == 1, name


def test_a_part_is_written_between_its_markers() -> None:
    text = "a\n<!-- begin: transitions -->\nold\n<!-- end: transitions -->\nb\n"
    new = rendered(text)
    assert "old" not in new
    assert "**START**" in new
    assert new.startswith("a\n")
    assert new.endswith("\nb\n")
    assert rendered(new) == new


def test_a_table_of_transitions_is_whole() -> None:
    lines = transition_table(TRANSITIONS, State, Trigger).splitlines()
    assert len(lines) == len(State) + 2
    cells = [cell.strip() for line in lines[2:] for cell in line.split("|")[2:]]
    assert sum(map(bool, cells)) == len(TRANSITIONS)


@pytest.mark.parametrize("half", ["begin", "end"])
def test_half_a_marker_is_an_error(half: str) -> None:
    with pytest.raises(ValueError, match="'transitions' has no other half"):
        rendered(f"<!-- {half}: transitions -->\n")


def test_parts_of_others_are_left_alone() -> None:
    text = "<!-- begin: relaygen --help -->\nx\n<!-- end -->\n"
    assert rendered(text) == text
