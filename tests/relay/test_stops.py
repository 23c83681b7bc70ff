"""Stop strings: a function of the text, whatever its pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.errors import InvalidRequestError
from relaygen.relay.stops import StopMatcher

LETTERS = st.text("ab\n☃", max_size=30)
STOPS = st.lists(st.text("ab\n☃", min_size=1, max_size=5), max_size=4)


def first_cut(text: str, stops: list[str]) -> int | None:
    """The definition: where the stop string begins that is complete first."""
    for end in range(1, len(text) + 1):
        begins = [end - len(s) for s in stops if text[:end].endswith(s)]
        if begins:
            return min(begins)
    return None


@given(st.lists(LETTERS, max_size=10), STOPS)
def test_any_chunking_cuts_at_the_same_place(pieces: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    text = "".join(pieces)
    expected = first_cut(text, stops)
    seen = 0
    shown = 0
    for piece in pieces:
        safe, cut = matcher.feed(piece)
        seen += len(piece)
        assert shown <= safe <= seen
        shown = safe
        if cut is not None:
            assert cut == expected
            assert shown == cut
            return
        assert expected is None or shown <= expected
        # No more is held back than may begin a stop string.
        assert any(stop.startswith(text[shown:seen]) for stop in stops) or shown == seen
    assert expected is None


def test_nothing_is_held_back_without_stop_strings() -> None:
    matcher = StopMatcher(())
    assert not matcher
    assert matcher.feed("abc") == (3, None)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="empty"):
        StopMatcher(["a", ""])
