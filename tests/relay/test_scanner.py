"""When a cue counts: one example a rule. The properties are in test_scanner_properties.py."""

from collections.abc import Sequence

import pytest

from relaygen.errors import CueProfileError
from relaygen.relay.cues import CueMatch, CuePosition, SwitchCue
from relaygen.relay.scanner import TextScanner


def anywhere(text: str, confirm_tokens: int = 0) -> SwitchCue:
    return SwitchCue(text=text, position=CuePosition.ANYWHERE, confirm_tokens=confirm_tokens)


CUES = (
    SwitchCue(text="So"),
    SwitchCue(text="So,"),
    SwitchCue(text="Thus,"),
    SwitchCue(text="所以"),
    anywhere("now"),
    anywhere("so"),
    anywhere("another,"),
)


def counting(tokens: Sequence[str], cues: Sequence[SwitchCue] = CUES) -> list[tuple[int, str]]:
    """The (index of the token, cue as it stands in the text) of all matches."""
    scanner = TextScanner(cues)
    matches = [(i, scanner.feed(token).cue) for i, token in enumerate(tokens)]
    text = "".join(tokens)
    return [(i, text[m.start : m.end]) for i, m in matches if m is not None]


@pytest.mark.parametrize(
    "text",
    [
        "I know",
        "also, nowhere, so-called, now's, x.now, #now, and/now, so_x, now5",
        "it is 3so",
        "e.g. So we",
        "by Dr. So",
        "3.14 So",
        "inside So, it",
        "well... So it",
        "Some",
        "let $x. So$ be",
        "let \\(x. So, now\\) be",
        "`a. So now`",
        "```\nSo, now\n\nSo, now\n```",
        r"\now",
        "sо",  # the o is Cyrillic
        "so\u0301",
    ],
)
def test_does_not_count(text: str) -> None:
    assert counting([text]) == []


@pytest.mark.parametrize(
    "text", ["I know it", "also it", "Some", "nowhere", "e.g. So it", "let $x. So$ be", "`a. So`"]
)
def test_does_not_count_cut_into_characters(text: str) -> None:
    cues = [SwitchCue(text=c.text, position=c.position, confirm_tokens=1) for c in CUES]
    assert counting(list(text), cues) == []


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["So", ",", " it"], [(0, "So")]),
        (["So,", " so."], [(0, "So,")]),
        (["Ok", ".", " So"], [(2, "So")]),
        (["Ok", ".\n\n", "So"], [(2, "So")]),
        (["Ok\n\n", "So"], [(1, "So")]),
        (["Ok:\n", "-", " So"], [(2, "So")]),
        (["1", ".", " So"], [(2, "So")]),
        (["Ok\n", "##", " So"], [(2, "So")]),
        (['"', "**", "(", "So"], [(3, "So")]),
        (["好。", "所以", "我"], [(1, "所以")]),
        (["好。所以我们"], [(0, "所以")]),
        (["and", " n", "ow"], [(2, "now")]),
        (["and", " another", ", one"], [(2, "another,")]),
        (["Th", "us", ", x"], [(2, "Thus,")]),
        (["now", " now", "now"], [(0, "now"), (1, "now")]),
        (["costs $5. ", "So"], [(1, "So")]),
        (["end", ".", "", " S", "", "o"], [(5, "So")]),
    ],
)
def test_counts_at_the_first_boundary_after_its_last_character(
    tokens: list[str], expected: list[tuple[int, str]]
) -> None:
    assert counting(tokens) == expected


def test_counts_at_once_even_if_the_word_goes_on_later() -> None:
    assert counting(["So", "me"]) == [(0, "So")]
    assert counting(["Some"]) == []


def test_a_han_cue_counts_before_any_letter() -> None:
    assert counting(["a b", " 所x"], [anywhere("所")]) == [(1, "所")]


def test_longest_wins_and_nothing_counts_twice() -> None:
    assert counting(["So, it"]) == [(0, "So,")]
    assert counting(["So", ", it"]) == [(0, "So")]


def test_does_not_count_once_its_sentence_is_over() -> None:
    assert counting(["So.\n\n"]) == []
    assert counting(["So."]) == []
    assert counting(["So... it"]) == [(0, "So")]


def test_white_space_condition() -> None:
    cues = [SwitchCue(text="So ")]
    assert counting(["So"], cues) == [(0, "So")]
    assert counting(["So it"], cues) == [(0, "So")]
    assert counting(["So\n"], cues) == [(0, "So")]
    assert counting(["So,"], cues) == []


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["Thus", " we"], [(1, "Thus", True)]),
        (["Thus", ","], [(1, "Thus,", False)]),
        (["Thus", ", we"], [(1, "Thus,", False)]),
        (["Thus", "ly", " we"], []),
        (["Thus", "-like", " we"], []),
        (["Thus", ""], [(1, "Thus", True)]),
        (["Thus", ".\n\n"], [(1, "Thus", True)]),
        # The token itself shows that the word is over: there is nothing to wait for.
        (["Thus: we"], [(0, "Thus", False)]),
        (["Thus", " we", " now", " go"], [(1, "Thus", True)]),
    ],
)
def test_confirmation(tokens: list[str], expected: list[tuple[int, str, bool]]) -> None:
    scanner = TextScanner([SwitchCue(text="Thus", confirm_tokens=1), SwitchCue(text="Thus,")])
    found = []
    for i, token in enumerate(tokens):
        match = scanner.feed(token).cue
        if match is not None:
            found.append((i, match.cue.text, match.confirmed))
    assert found == expected


def test_confirmation_of_a_white_space_condition() -> None:
    cues = [SwitchCue(text="So ", confirm_tokens=1)]
    assert counting(["So", " we"], cues) == [(1, "So")]
    assert counting(["So", ","], cues) == []


def test_going_back_before_a_token_that_only_confirmed() -> None:
    scanner = TextScanner([SwitchCue(text="Thus", confirm_tokens=1)])
    scanner.feed("Thus")
    assert scanner.waiting
    before = scanner.copy()
    assert scanner.feed(" we").cue == CueMatch(SwitchCue(text="Thus", confirm_tokens=1), 0, 4, True)
    before.dismiss()
    assert not before.waiting
    assert before.feed(" it").cue is None
    assert before.feed(" is. Thus ").cue is not None


def test_a_sentence_end_over_a_handback_is_settled_by_the_next_text() -> None:
    scanner = TextScanner(CUES)
    scanner.feed("So it is.")
    assert scanner.pending
    look_ahead = scanner.copy()
    assert look_ahead.feed("5 apples").ends == ()
    scan = scanner.feed(" So")
    assert scan.ends == (9,)
    assert scan.cue is not None
    assert (scan.cue.start, scan.cue.end) == (10, 12)


def test_a_stage_begins_with_a_sentence() -> None:
    scanner = TextScanner(CUES)
    scanner.feed("```\nan unclosed fence")
    assert scanner.protected
    scanner.begin_stage()
    assert scanner.feed("So").cue is not None


def test_a_cue_listed_twice_is_refused() -> None:
    with pytest.raises(CueProfileError, match="twice"):
        TextScanner([SwitchCue(text="So"), anywhere("So")])
    with pytest.raises(CueProfileError, match="twice"):
        TextScanner([SwitchCue(text="So "), SwitchCue(text="So\n")])
