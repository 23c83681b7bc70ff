"""Rules 1 and 2: tokens are the truth, and no half code point is ever emitted."""

from __future__ import annotations

import pytest

from relaygen.errors import InvalidRequestError, ProtocolError
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.events import Generate, LegEnded, Output, Scored
from relaygen.types import LegEnd
from tests.relay.driving import LARGE, SMALL, Break
from tests.relay.scenes import EOS, Scene, play

SCRIPT = ["We", " try", ".", " So,", " two", " fits", ".", " Then", " on", "."]


def test_rule_1_prompts_of_all_legs_are_the_exact_tokens_before_them() -> None:
    scene = Scene(SCRIPT)
    went = scene.play()
    prompt = tuple(b"Q")
    kept = tuple(scene.ids(*SCRIPT))
    assert [(leg.role, leg.prompt_tokens) for leg in went.legs] == [
        (LARGE, prompt),
        (SMALL, prompt + kept[:4]),
        (LARGE, prompt + kept[:7]),
    ]
    assert [leg.generated_from for leg in went.legs] == [1, 1, 1]
    assert went.turns == [
        ("large", "We try. So,", "cue:So,"),
        ("small", " two fits.", "sentence_end"),
        ("large", " Then on.", "eos"),
    ]


def test_rule_1_nothing_is_tokenised_again_at_a_handoff() -> None:
    # "Th" + "us" is never merged into the "Thus" that the vocabulary also has.
    scene = Scene(["Th", "us", " x", ".", " y"], cues=["Thus"], small={9: "Thus"})
    went = scene.play()
    assert went.legs[1].prompt_tokens == (*b"Q", *scene.ids("Th", "us"))


def test_rule_1_a_small_token_that_only_the_small_model_knows_is_a_handback() -> None:
    scene = Scene(SCRIPT, small={5: "<tool>"}, unshared=["<tool>"])
    went = scene.play()
    assert went.turns[1:] == [
        ("small", " two", "unshared_token"),
        ("large", " fits. Then on.", "eos"),
    ]
    assert went.overrun == 1


def test_rule_1_after_a_large_token_that_only_it_knows_the_large_model_writes_on() -> None:
    script = ["<tool>", "We", " try", ".", " So,", " two", ".", "</think>", " 2"]
    config = {"min_reasoning_tokens": 0}
    scene = Scene(script, unshared=["<tool>"], config=_config(**config))
    went = scene.play()
    assert {role for role, _, _ in went.turns} == {"large"}
    assert len(went.legs) == 1


def test_rule_1_in_the_answer_a_small_token_that_only_it_knows_hands_back() -> None:
    script = ["We", "</think>", " two", " <tool>", " three"]
    scene = Scene(
        script,
        large={3: " and"},
        unshared=[" <tool>"],
        config=_config(min_reasoning_tokens=0),
    )
    went = scene.play()
    assert went.answer == " two and three"
    assert [role for role, _, _ in went.turns] == ["large", "small", "large"]


def test_rule_1_a_prompt_that_the_models_read_differently_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="prompt token 81"):
        Scene(SCRIPT, unshared=["Q"]).machine()


def test_rule_2_code_points_in_pieces_are_emitted_whole() -> None:
    snow = "☃".encode()
    scene = Scene(["a", snow[:1], snow[1:2], snow[2:], "b"])
    went = scene.play()
    assert [(part.text, len(part.token_ids)) for part in went.emitted] == [
        ("a", 1),
        ("☃", 3),
        ("b", 1),
        ("", 1),
    ]


def test_rule_2_no_handoff_inside_a_code_point() -> None:
    # The cue's token also begins the code point that follows it.
    snow = "☃".encode()
    scene = Scene([b"So, " + snow[:1], snow[1:], " melts", ".", " Yes"])
    went = scene.play()
    assert went.turns[:2] == [("large", "So, ☃", "cue:So,"), ("small", " melts.", "sentence_end")]


def test_rule_2_a_sentence_end_is_not_lost_inside_a_code_point() -> None:
    snow = "☃".encode()
    script = ["So,", " it", " melts", ".", b" " + snow[:1], snow[1:], "."]
    went = play(script)
    assert went.turns == [
        ("large", "So,", "cue:So,"),
        ("small", " it melts.", "sentence_end"),
        ("large", " ☃.", "eos"),
    ]
    assert went.overrun == 2  # both pieces were looked ahead at


def test_rule_2_a_leg_that_breaks_inside_a_code_point_goes_on_in_it() -> None:
    snow = "☃".encode()
    scene = Scene(["a", snow[:1], snow[1:], "b"])
    went = scene.play(breaks={0: Break(after=2)})
    assert went.text == "a☃b"
    assert went.legs[1].prompt_tokens == (*b"Q", *scene.ids("a", snow[:1]))


def test_rule_2_a_code_point_over_two_models_belongs_to_the_one_that_completes_it() -> None:
    snow = "☃".encode()
    scene = Scene(["So,", snow[:1], snow[1:], "."], small={2: EOS})
    went = scene.play()
    assert went.turns == [("large", "So,", "cue:So,"), ("small", "", "eos"), ("large", "☃.", "eos")]


def test_rule_2_a_code_point_that_is_never_completed_is_shown_as_broken() -> None:
    went = play(["a", "☃".encode()[:2]])
    assert went.text == "a\ufffd"


def test_rule_2_a_confirmation_in_pieces_is_dropped_whole() -> None:
    comma = "，".encode()
    cue = SwitchCue(text="Thus", confirm_tokens=1)
    scene = Scene(["Thus", comma[:1], comma[1:], " x", "."], cues=[cue])
    went = scene.play()
    assert went.turns[0] == ("large", "Thus", "cue:Thus")
    assert went.legs[1].prompt_tokens == (*b"Q", *scene.ids("Thus"))
    assert went.machine.segments[0].overrun_tokens == 2


@pytest.mark.parametrize("tags", ["token", "text"])
def test_rule_2_a_cue_confirmed_within_its_own_code_point_keeps_its_token(tags: str) -> None:
    comma = "，".encode()
    cue = SwitchCue(text="Thus", confirm_tokens=1)
    scene = Scene(
        [b"Thus" + comma[:1], comma[1:], " x", "."],
        small={0: EOS, 2: EOS},
        cues=[cue],
        tags=tags,
        config=_config(min_small_tokens=0),
    )
    assert scene.play().turns == [
        ("large", "Thus，", "cue:Thus"),
        ("small", "", "eos"),
        ("large", " x.", "eos"),
    ]


def test_events_that_fit_no_leg_are_a_bug_of_the_caller() -> None:
    machine = Scene(SCRIPT).machine()
    machine.next_actions()
    with pytest.raises(ProtocolError, match="leg 7 was never started"):
        machine.receive(Output(7, (1,)))
    with pytest.raises(ProtocolError, match="LARGE_WRITES cannot take"):
        machine.receive(Scored(0, ()))


def test_events_of_a_cancelled_leg_only_add_to_its_overrun() -> None:
    scene = Scene(SCRIPT)
    machine = scene.machine()
    machine.next_actions()
    machine.receive(Output(0, tuple(scene.ids(*SCRIPT[:4]))))
    assert machine.receive(Output(0, (97, 98))) == []
    assert machine.receive(LegEnded(0, LegEnd.EOS)) == []
    assert machine.segments[0].overrun_tokens == 2
    cancel, generate = machine.next_actions()
    assert cancel.leg_id == 0  # type: ignore[union-attr]
    assert isinstance(generate, Generate)


def _config(**options: int) -> RelayConfig:
    return RelayConfig(**options)  # type: ignore[arg-type]
