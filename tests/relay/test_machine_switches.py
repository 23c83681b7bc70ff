"""Rules 3 to 6: where the word is handed over, and where it is handed back."""

from __future__ import annotations

import itertools

import pytest

from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import CuePosition, SwitchCue
from tests.relay.scenes import EOS, Scene, play

CONFIRMED = SwitchCue(text="Thus", confirm_tokens=1)


def roles(script: list[str], **options: object) -> str:
    """One letter a kept token."""
    went = play(script, **options)
    return "".join(str(s.role)[0] * len(s.token_ids) for s in went.machine.segments)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (["Know", " it", "."], "llll"),
        (["Now", " it", "."], "lssl"),
        (["Now", "here", " it", "."], "lsssl"),  # rule 4: the small model finishes the word
        (["And", " Now", " it", "."], "lllll"),  # not at the start of its sentence
        (["$", "x", ".", " Now", " y", "$", "."], "llllllll"),
        (["```", "\n", "Now", " y", "\n", "```", "."], "llllllll"),
    ],
)
def test_rule_3_a_cue_counts_only_where_its_profile_says(script: list[str], expected: str) -> None:
    assert roles(script) == expected


def test_rule_3_anywhere_in_a_sentence() -> None:
    cue = SwitchCue(text="now", position=CuePosition.ANYWHERE)
    assert roles(["We", " know", " it", " now", " well", "."], cues=[cue]) == "llllssl"


def test_rule_3_a_cue_that_straddles_a_handback_counts() -> None:
    cue = SwitchCue(text="b c", position=CuePosition.ANYWHERE)
    went = play(["Now", " a", " b", " c", " d", "."], cues=["Now", cue], config=_small(2))
    assert went.turns[:3] == [
        ("large", "Now", "cue:Now"),
        ("small", " a b", "max_small_tokens"),
        ("large", " c", "cue:b c"),
    ]


def test_rule_3_a_cue_that_the_small_model_wrote_hands_nothing_over() -> None:
    script = ["Now", " Thus", " we", " go", "."]
    cue = SwitchCue(text="Thus", position=CuePosition.ANYWHERE, confirm_tokens=1)
    assert roles(script, cues=["Now", cue], config=_small(1)) == "lsllll"


def test_rule_3_a_cue_in_pieces_counts_at_its_last_one() -> None:
    script = ["Now", " a", " b", " c", ".", "\n\n", "S", "o,", " d", " e", "."]
    assert roles(script) == "lssss" + "lll" + "sss" + "l"


def test_rule_4_tokens_are_decided_one_at_a_time_however_many_arrive() -> None:
    script = ["We", " try", ".", " So,", " two", " fits", ".", " Then", " on", "."]
    alone = Scene(script).play()
    for size in (2, 3, 5, 50):
        together = Scene(script).play(sizes=itertools.repeat(size))
        assert together.turns == alone.turns
        assert together.machine.tokens == alone.machine.tokens
        assert together.overrun >= alone.overrun
    assert alone.overrun == 1
    assert together.overrun > 1


def test_rule_4_a_token_is_kept_whole_where_the_cue_ends_inside_it() -> None:
    went = play(["So, we", " go", "."])
    assert went.turns[0] == ("large", "So, we", "cue:So,")


def test_rule_4_overrun_is_counted_and_never_emitted() -> None:
    script = ["So,", " two", ".", " Then", " on", "."]
    went = Scene(script, large={3: " Else"}).play(sizes=[1, 50, 50], late=3)
    assert went.text == "So, two. Else on."
    assert [s.overrun_tokens for s in went.machine.segments] == [3, 3 + 1, 0]


def test_rule_4_a_cue_may_wait_for_the_next_token() -> None:
    waits = {"cues": [CONFIRMED]}
    went = play(["Thus", " we", " go", "."], **waits)
    assert went.turns[:2] == [("large", "Thus", "cue:Thus"), ("small", " we go.", "eos")]
    assert went.machine.segments[0].overrun_tokens == 1
    assert roles(["Thus", "ly", " go", "."], **waits) == "lllll"


def test_rule_4_a_cue_that_waited_counts_once_where_nobody_takes_over() -> None:
    script = ["</tool>", "Thus", " we", " go", ".", " On"]
    went = play(script, cues=[CONFIRMED], unshared=["</tool>"])
    assert went.turns == [("large", "".join(script), "eos")]
    assert went.overrun == 0


def test_rule_4_a_cue_that_was_confirmed_does_not_count_again_on_the_token_that_follows() -> None:
    config = RelayConfig(min_small_tokens=0)
    went = play(["Thus", " we", " go", "."], cues=[CONFIRMED], small={1: EOS}, config=config)
    assert [text for _, text, _ in went.turns] == ["Thus", "", " we go."]


def test_rule_5_look_ahead_token_is_dropped_and_rewritten_by_the_large_model() -> None:
    scene = Scene(["So,", " two", ".", " Then", " on", "."], small={3: " Hence"})
    went = scene.play()
    assert went.turns == [
        ("large", "So,", "cue:So,"),
        ("small", " two.", "sentence_end"),
        ("large", " Then on.", "eos"),
    ]
    assert went.machine.segments[1].overrun_tokens == 1
    assert went.legs[2].prompt_tokens == (*b"Q", *scene.ids("So,", " two", "."))


def test_rule_5_a_look_ahead_token_that_goes_on_is_kept() -> None:
    went = play(["So,", " 3", ".", "14", " it", " is", ".", " Then"])
    assert went.turns[1] == ("small", " 3.14 it is.", "sentence_end")


def test_rule_5_a_whole_sentence_in_the_look_ahead_token_is_dropped_too() -> None:
    went = play(["So,", " two", ".", " Yes.\n\n", " Then"], large={3: " No"})
    assert went.turns[1:] == [("small", " two.", "sentence_end"), ("large", " No Then", "eos")]


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([" 二。", "x"], " 二。"),
        ([" two", "\n\n", "x"], " two\n\n"),
        ([" two", "!)", " x"], " two!)"),
    ],
)
def test_rule_5_ends(tokens: list[str], kept: str) -> None:
    went = play(["So,", *tokens, " y"], config=RelayConfig(min_small_tokens=0))
    assert went.turns[1] == ("small", kept, "sentence_end")


def test_rule_5_a_small_segment_is_handed_back_at_its_limit() -> None:
    went = play(["So,", *[" a"] * 10, "."], config=_small(3))
    assert went.turns[:3] == [
        ("large", "So,", "cue:So,"),
        ("small", " a a a", "max_small_tokens"),
        ("large", " a" * 7 + ".", "eos"),
    ]


def test_rule_6_a_cue_at_the_very_start_of_a_large_segment_counts() -> None:
    script = ["So,", " a", " b", " c", ".", " So,", " d", " e", " f", ".", " Then", "."]
    assert roles(script) == "l" + "ssss" + "l" + "ssss" + "lll"


def test_rule_6_after_a_short_small_segment_the_large_model_writes_a_whole_sentence() -> None:
    script = ["So,", " a", ".", " So,", " b", " c", ".", " So,", " d", " e", " f", ".", " Now", "."]
    assert roles(script) == "l" + "ss" + "llll" + "l" + "ssss" + "lsl"
    assert roles(script, config=RelayConfig(min_small_tokens=2)) == "lsslssslsssslsl"


def test_rule_6_what_was_only_looked_at_does_not_make_a_segment_longer() -> None:
    script = ["So,", " a", " b", ".", " So,", " c", "."]
    assert roles(script, config=RelayConfig(min_small_tokens=3)) == "lsssl" + "ssl"
    assert roles(script, config=RelayConfig(min_small_tokens=4)) == "lsssl" + "lll"


def test_rule_6_a_sentence_begun_by_the_small_model_is_no_whole_one() -> None:
    script = ["So,", " a", " b", ".", " So,", " c", ".", " So,", " d", ".", " So,", " e", "."]
    # The small model is stopped in its sentence; the rest of it does not count as a whole one.
    assert roles(script, config=_small(1, min_small_tokens=4)) == "ls" + "llllll" + "s" + "lllll"


def test_rule_6_after_a_run_of_small_segments_likewise() -> None:
    script = [token for i in range(4) for token in ("So," if not i else " So,", " a", " b", ".")]
    config = RelayConfig(max_small_run=2, min_small_tokens=0)
    assert roles([*script, " Then"], config=config) == "lsss" * 2 + "llll" + "lsss" + "ll"
    assert roles([*script, " Then"], config=RelayConfig(min_small_tokens=0)) == "lsss" * 4 + "ll"


def test_rule_6_a_whole_large_sentence_ends_a_run() -> None:
    script = ["So,", " a", ".", " We", " b", ".", " So,", " c", ".", " So,", " d", ".", " Then"]
    config = RelayConfig(max_small_run=2, min_small_tokens=0)
    assert roles(script, config=config) == "lss" + "lll" + "lss" + "lss" + "ll"


def test_rule_6_two_models_do_not_pass_an_end_to_and_fro() -> None:
    # Whatever the small model writes, it ends its leg at once: each time is an empty segment.
    script = ["So,", " So,", " So,", " So,", "."]
    went = play(script, small=dict.fromkeys(range(9), EOS))
    assert len(went.legs) == 3
    went = play(script, small=dict.fromkeys(range(9), "</think>"))
    assert len(went.legs) == 3
    assert [ended for _, _, ended in went.turns] == ["cue:So,", "close_tag", "eos"]


def test_rule_6_ends_are_never_muted() -> None:
    script = ["So,", " a", ".", " b", "</think>", " 2"]
    assert roles(script, config=RelayConfig(min_reasoning_tokens=0)) == "lssllss"


def _small(tokens: int, *, min_small_tokens: int = 0) -> RelayConfig:
    return RelayConfig(max_small_tokens=tokens, min_small_tokens=min_small_tokens)
