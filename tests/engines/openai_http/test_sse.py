from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.engines.openai_http.sse import SSEParser
from relaygen.errors import EngineProtocolError

NEWLINES = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.text(
    st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=12
).map(str.encode)
NOISE = st.one_of(
    LINES.map(lambda line: b":" + line),
    LINES.map(lambda line: b"event: " + line),
    st.just(b"id: 7"),
    st.just(b"retry"),
)


def parsed(data: bytes, cuts: list[int], max_bytes: int = 2**20) -> list[bytes]:
    parser = SSEParser(max_bytes=max_bytes)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [event for start, stop in pairwise(places) for event in parser.feed(data[start:stop])]


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream and the data of its events."""
    stream, events = b"", []
    for _ in range(draw(st.integers(0, 5))):
        lines = draw(st.lists(LINES, min_size=1, max_size=3))
        for line in lines:
            for noise in draw(st.lists(NOISE, max_size=2)):
                stream += noise + draw(NEWLINES)
            # A blank after the colon is no part of the data, but a second one is.
            blank = b" " if line.startswith(b" ") else draw(st.sampled_from([b"", b" "]))
            stream += b"data:" + blank + line + draw(NEWLINES)
        end = draw(NEWLINES)
        if stream.endswith(b"\r") and end == b"\n":
            end = b"\r"  # CR LF would be one line end
        stream += end
        events.append(b"\n".join(lines))
    return stream, events


@given(streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_events_are_the_same_for_any_chunking(
    stream: tuple[bytes, list[bytes]], cuts: list[int]
) -> None:
    data, events = stream
    assert parsed(data, cuts) == events
    assert parsed(data, list(range(len(data)))) == events


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_any_bytes_give_the_same_for_any_chunking(data: bytes, cuts: list[int]) -> None:
    assert parsed(data, cuts) == parsed(data, [])


def test_an_event_that_does_not_end_is_not_delivered() -> None:
    assert parsed(b"data: 1\n\ndata: 2\n", []) == [b"1"]


def test_a_byte_order_mark_and_a_field_without_a_colon() -> None:
    assert parsed(b"\xef\xbb\xbfdata: 1\n\ndata\n\ndatum: 3\n\n", []) == [b"1", b""]


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_a_line_that_never_ends_is_refused(chunk: int) -> None:
    with pytest.raises(EngineProtocolError, match="more than 100 bytes") as raised:
        parsed(b"x" * 8192, list(range(0, 8192, chunk)), max_bytes=100)
    assert raised.value.retryable


def test_an_event_of_many_lines_is_refused() -> None:
    with pytest.raises(EngineProtocolError, match="an event"):
        parsed(b"data: 12345678\n" * 20, [], max_bytes=100)


def test_the_largest_line_and_event_that_are_allowed() -> None:
    line = b"data:" + b"x" * 95
    assert parsed(line + b"\n\n", [], max_bytes=100) == [b"x" * 95]
