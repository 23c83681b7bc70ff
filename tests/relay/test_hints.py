"""Stop hints: what servers are told to stop at, and what happens where they stop too early."""

from __future__ import annotations

import pytest

from relaygen.profiles import load
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import CuePosition, SwitchCue
from relaygen.relay.events import Generate, LegEnded, Output
from relaygen.relay.hints import SENTENCE_END_HINTS, cue_hints
from relaygen.types import FinishReason, LegEnd
from tests.relay.driving import LARGE, SMALL, Play
from tests.relay.scenes import END, SHORT, Scene

CUES = ("So,", "Now")


def test_hints_are_what_cues_look_like_in_a_text() -> None:
    cues = (
        SwitchCue(text="Thus,"),
        SwitchCue(text="Thus"),
        SwitchCue(text="now", position=CuePosition.ANYWHERE),
        SwitchCue(text="So "),
        SwitchCue(text="Wait", confirm_tokens=1),
    )
    assert cue_hints(cues) == ("Thus", " now", "So ")


@pytest.mark.parametrize("name", ["demo", "qwen3", "r1-distill"])
def test_no_hint_of_a_packaged_profile_waits_for_another(name: str) -> None:
    hints = cue_hints(load(name).cues)
    assert hints
    assert not [(a, b) for a in hints for b in hints if a != b and a in b]


def hinted(scene: Scene) -> Play:
    return scene.play(hinted=scene.vocabulary.decode)


def test_each_role_is_told_what_ends_its_leg_and_the_answer_is_told_nothing() -> None:
    went = hinted(
        Scene(["We", " So", ".", " So,", " two", ".", " Then", END, " 2", "."], config=SHORT)
    )
    assert [(leg.role, leg.stop_hints) for leg in went.legs] == [
        (LARGE, CUES),
        (SMALL, SENTENCE_END_HINTS),
        (LARGE, CUES),
        (SMALL, ()),
    ]
    assert went.machine.early_stops == 0


def test_a_leg_that_a_hint_ends_in_mid_sentence_goes_on() -> None:
    script = [" So,", " e.g. ", "two", " or ", "Dr. ", "five", ".", " On", END, " So,", " 2"]
    scene = Scene(script, config=SHORT)
    went, plain = hinted(scene), scene.play()
    assert went.turns == plain.turns
    assert went.text == plain.text
    assert went.machine.early_stops == 2
    assert [leg.role for leg in went.legs] == [LARGE, SMALL, SMALL, SMALL, LARGE, SMALL]
    limits = [leg.max_tokens for leg in went.legs if leg.role is SMALL]
    assert limits[0] - limits[1] == 1


def test_an_early_end_in_the_answer_goes_on_without_hints() -> None:
    config = RelayConfig(answer_role=LARGE)
    scene = Scene(["We", END, " So,", " it", " is", " Now", " 2"], config=config)
    went = hinted(scene)
    assert went.answer == " So, it is Now 2"
    assert [leg.stop_hints for leg in went.legs] == [CUES, ()]
    assert went.finish.reason is FinishReason.STOP


def test_where_cues_do_not_count_nothing_is_hinted() -> None:
    muted = Scene(["So,", " a", ".", " So,", " b", "."], config=RelayConfig(min_small_tokens=4))
    assert [leg.stop_hints for leg in muted.play().legs] == [CUES, SENTENCE_END_HINTS, ()]
    off = Scene(["So,", " a", ".", " On"], config=RelayConfig(stop_hints=False))
    assert {leg.stop_hints for leg in off.play().legs} == {()}


def test_a_server_that_stops_again_and_again_before_it_writes_is_told_nothing_more() -> None:
    scene = Scene(["We"])
    machine = scene.machine()
    for leg, hints in enumerate((CUES, ())):
        [action] = machine.next_actions()
        assert isinstance(action, Generate)
        assert action.stop_hints == hints
        machine.receive(LegEnded(leg, LegEnd.STOP_HINT))
    assert machine.finish_reason is FinishReason.STOP


def test_cues_that_stop_a_leg_all_the_time_are_hinted_no_more() -> None:
    scene = Scene(["We", *[" So,x"] * 30], cues=("So,",), config=RelayConfig(mute_tokens=99))
    went, plain = hinted(scene), scene.play()
    assert went.text == plain.text
    assert len(went.legs) == len(plain.legs) + 3


def test_reading_along_goes_on_over_early_stops() -> None:
    script = [" So,", *[" Dr. x"] * 3, *["a"] * 6, ".", " On", END, " 2"]
    scene = Scene(script, config=RelayConfig(read_ahead=4, min_reasoning_tokens=0))
    assert [p.prompt_tokens for p in hinted(scene).prefills] == [
        p.prompt_tokens for p in scene.play().prefills
    ]


def test_while_the_small_model_is_busy_cues_are_not_hinted_again() -> None:
    scene = Scene([" So,", " x", "."] * 9)
    machine = scene.machine()
    machine.small_busy = True
    legs, hints = 0, CUES
    for token in scene.ids(*scene.script):
        for action in machine.next_actions():
            assert isinstance(action, Generate)
            legs, hints = legs + 1, action.stop_hints
        machine.receive(Output(legs - 1, (token,)))
        if hints and token == scene.token(" So,"):
            machine.receive(LegEnded(legs - 1, LegEnd.STOP_HINT))
    assert machine.handoffs_left_out == 9
    assert legs <= 2
