"""Sentence ends and cue occurrences are functions of the text alone, however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.relay.cues import CueMatch, CuePosition, SwitchCue
from relaygen.relay.scanner import TextScanner
from relaygen.relay.segmentation import SentenceSegmenter, sentences
from relaygen.relay.words import goes_on

FRAGMENTS = [
    *" \n.,!?$`\\*#-([)]}\"'”…。！x5A_é😀\t",
    *["\n\n", "\r\n", "...", "1. ", "2) ", "- ", "## ", "**", "3.14", "$5", "$x$", "$$", "\\$"],
    *["\\(", "\\)", "\\[", "\\]", "```", "``", "e.g.", "Dr.", "J.", "\u0301", "所以", "好", "所x"],
    *["So", "So,", "Thus", ", ", " now", "now", "know", "also", "another,", " so", "nowhere"],
    *["word", " word", ". So", ".\n\nThus,", " it is 5. ", "/hour", "5!", "etc.", "now, then"],
]
texts = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=5)), max_size=12).map("".join),
    st.text(max_size=40),
)
cue_texts = [
    *["So", "So ", "So,", "Thus", "Thus,", "now", "now ", "now, then", "so", "another,", "know"],
    *["x", "é", "所以", "所", "now-x", "word word", "A", "e.g.", "e.g. So"],
]
cue_lists = st.lists(
    st.builds(
        SwitchCue,
        text=st.sampled_from(cue_texts),
        position=st.sampled_from(CuePosition),
        confirm_tokens=st.integers(0, 1),
    ),
    unique_by=lambda cue: cue.text,
    max_size=8,
)


@st.composite
def tokenised(draw: st.DrawFn) -> list[str]:
    text = draw(texts)
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=25).map(sorted))
    bounds = [0, *cuts, len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]


def check_ends_do_not_depend_on_chunks(tokens: list[str]) -> None:
    text = "".join(tokens)
    whole = SentenceSegmenter()
    expected = [*whole.feed(text), *whole.finish()]
    for pieces in (tokens, list(text)):
        segmenter = SentenceSegmenter()
        scanner = TextScanner([SwitchCue(text="So"), SwitchCue(text="now")])
        found: list[int] = []
        scanned: list[int] = []
        for piece in pieces:
            found += segmenter.feed(piece)
            scanned += scanner.feed(piece).ends
            assert segmenter.pending == scanner.pending
            assert segmenter.protected == scanner.protected
            assert segmenter.offset == scanner.offset
        found += segmenter.finish()
        scanned += scanner.finish()
        assert found == scanned == expected
        assert segmenter.offset == len(text)
    assert expected == sorted(set(expected))
    assert all(0 < end <= len(text) for end in expected)


def check_sentences_cover_the_visible_text(text: str) -> None:
    spans = sentences(text)
    bounds = [0, *(edge for span in spans for edge in span), len(text)]
    assert bounds == sorted(bounds)
    gaps = (text[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True))
    assert not "".join(gaps).strip()
    assert all(not text[start].isspace() for start, _ in spans)


def plain_matches(tokens: Sequence[str], cues: Sequence[SwitchCue]) -> list[CueMatch | None]:
    """What `TextScanner` finds, told from the whole text without trie, tail or short cuts."""
    text = "".join(tokens)
    words: list[tuple[int, bool]] = []
    settled: list[tuple[tuple[int, ...], bool]] = []  # by character: ends, pending after it
    segmenter = SentenceSegmenter()
    for char in text:
        ends = segmenter.read(char)
        words += segmenter.words
        settled.append((ends, segmenter.pending))

    def follows(cue: SwitchCue, after: str) -> bool | None:
        if not after:
            return None
        return after[0].isspace() if cue.needs_space else not goes_on(cue.visible[-1], after)

    matches: list[CueMatch | None] = []
    waiting: tuple[int, int, SwitchCue] | None = None
    free = begin = 0
    for token in tokens:
        end_of_token = begin + len(token)
        steps = settled[begin:end_of_token]
        over = max((end for ends, _ in steps for end in ends), default=-1)
        if end_of_token and settled[end_of_token - 1][1]:
            over = end_of_token
        found = [
            (start, start + len(cue.visible), cue)
            for start, opens in words
            for cue in sorted(cues, key=lambda cue: not cue.needs_space)
            if start >= free
            and (opens or cue.position is CuePosition.ANYWHERE)
            and text.startswith(cue.visible, start)
            and begin < start + len(cue.visible) <= end_of_token
            and start + len(cue.visible) >= over
            and follows(cue, text[start + len(cue.visible) : end_of_token]) is not False
        ]
        found.sort(key=lambda f: (f[0], -f[1]))
        match: CueMatch | None = None
        longer = waiting and any(f[0] == waiting[0] for f in found)
        if waiting and not longer and follows(waiting[2], token) is not False:
            match = CueMatch(waiting[2], waiting[0], waiting[1], True)
        waiting = None
        if match is None and found:
            start, end, cue = found[0]
            if cue.confirm_tokens and follows(cue, text[end:end_of_token]) is None:
                waiting = found[0]
            else:
                match = CueMatch(cue, start, end, False)
        if match:
            free = match.end
        matches.append(match)
        begin = end_of_token
    return matches


def check_matches(tokens: list[str], cues: list[SwitchCue]) -> None:
    scanner = TextScanner(cues)
    found = [scanner.feed(token).cue for token in tokens]
    assert found == plain_matches(tokens, cues)
    matches = [match for match in found if match]
    assert all(a.end <= b.start for a, b in pairwise(matches))


def check_only_cuts_near_a_cue_matter(text: str, cuts: list[int]) -> None:
    cues = [SwitchCue(text="So"), SwitchCue(text="now,", position=CuePosition.ANYWHERE)]
    near = {
        at
        for cue in cues
        for start in range(len(text))
        if text.startswith(cue.text, start)
        for at in range(start + 1, start + 20)
    }
    shared = {0, len(text), *(at for at in range(0, len(text), 7) if at in near)}
    more = shared | {at for at in cuts if at < len(text) and at not in near}

    def matches(bounds: set[int]) -> list[CueMatch | None]:
        scanner = TextScanner(cues)
        pieces = [text[a:b] for a, b in pairwise(sorted(bounds))]
        return [cue for piece in pieces if (cue := scanner.feed(piece).cue)]

    assert matches(shared) == matches(more)


def check_copies_are_independent(
    tokens: list[str], one: list[str], other: list[str], cues: list[SwitchCue]
) -> None:
    scanner = TextScanner(cues)
    alone = TextScanner(cues)
    for token in tokens:
        assert scanner.feed(token) == alone.feed(token)
    twin = scanner.copy()
    length = max(len(one), len(other))
    straight = [alone.feed(token) for token in one]
    after = []
    for i in range(length):
        after += [scanner.feed(token) for token in one[i : i + 1]]
        for token in other[i : i + 1]:
            twin.feed(token)
    assert after == straight
    again = TextScanner(cues)
    for token in tokens + other:
        again.feed(token)
    assert (again.offset, again.pending, again.protected, again.waiting) == (
        twin.offset,
        twin.pending,
        twin.protected,
        twin.waiting,
    )
    assert again.feed(". So now, Thus") == twin.feed(". So now, Thus")


CHECKS: dict[str, tuple[Callable[..., None], dict[str, st.SearchStrategy[object]]]] = {
    "ends": (check_ends_do_not_depend_on_chunks, {"tokens": tokenised()}),
    "cover": (check_sentences_cover_the_visible_text, {"text": texts}),
    "matches": (check_matches, {"tokens": tokenised(), "cues": cue_lists}),
    "cuts": (
        check_only_cuts_near_a_cue_matter,
        {"text": texts, "cuts": st.lists(st.integers(0, 200))},
    ),
    "copies": (
        check_copies_are_independent,
        {"tokens": tokenised(), "one": tokenised(), "other": tokenised(), "cues": cue_lists},
    ),
}


def holds(name: str, examples: int) -> None:
    """Runs one check; on a fresh function, since hypothesis settles a function's settings once."""
    check, strategies = CHECKS[name]

    @settings(max_examples=examples, deadline=None)
    @given(**strategies)
    def run(**drawn: object) -> None:
        check(**drawn)

    run()


@pytest.mark.parametrize("name", CHECKS)
def test_properties(name: str) -> None:
    holds(name, examples=200)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_properties_at_length(name: str) -> None:
    holds(name, examples=10_000)
