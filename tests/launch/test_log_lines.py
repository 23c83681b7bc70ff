"""Any bytes, cut anywhere, become the same harmless lines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.launch.log_lines import LogLines


def lines_of(*chunks: bytes) -> list[str]:
    lines = LogLines()
    return [line for chunk in chunks for line in lines.feed(chunk)] + list(lines.close())


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"no end", ["no end"]),
        (b"windows\r\nends\r\n", ["windows", "ends"]),
        (b"\x1b[1;31mINFO\x1b[0m ok\n", ["INFO ok"]),
        (b"\x1b]0;title\x07ok\n", ["ok"]),
        (b"10%\r50%\r100%\n", ["100%"]),
        (b"bell \x07 and \xff\n", [r"bell \x07 and \xff"]),
        ("grüße 猫\n".encode(), ["grüße 猫"]),
    ],
)
def test_what_is_shown(written: bytes, shown: list[str]) -> None:
    assert lines_of(written) == shown


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_chunks_do_not_matter_and_nothing_controls_the_terminal(chunks: list[bytes]) -> None:
    shown = lines_of(*chunks)
    assert shown == lines_of(b"".join(chunks))
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f]", "".join(shown))


def test_a_line_without_end_is_cut() -> None:
    lines = LogLines()
    shown = list(lines.feed(b"x" * 10_000))
    assert [len(line) for line in shown] == [4096, 4096]


def test_a_progress_bar_without_end_fills_no_memory() -> None:
    lines = LogLines()
    assert not [line for _ in range(1000) for line in lines.feed(b"50% |#####     |\r")]
    assert list(lines.feed(b"done\n")) == ["done"]
