"""What a failed leg, a lost model and a reader who leaves do to a generation."""

from __future__ import annotations

import pytest

from relaygen.relay.config import RelayConfig
from relaygen.relay.events import Cancel, Finish, Generate, LegFailed, Output
from relaygen.relay.policies import AlonePolicy
from relaygen.types import FinishReason
from tests.relay.driving import LARGE, SMALL, Break
from tests.relay.peer_policies import SpecReason
from tests.relay.scenes import END, SHORT, Scene, play

SCRIPT = ["We", " So", ".", " So,", " two", " fits", ".", " Then", " on", END, " 2", "."]


@pytest.mark.parametrize("leg", range(4))
@pytest.mark.parametrize("after", [0, 1])
def test_a_leg_that_may_be_repeated_goes_on_from_its_last_token(leg: int, after: int) -> None:
    whole = play(SCRIPT, config=SHORT)
    broken = Scene(SCRIPT, config=SHORT).play(breaks={leg: Break(after=after)})
    assert broken.text == whole.text
    assert broken.machine.tokens == whole.machine.tokens
    assert broken.turns == whole.turns
    assert len(broken.legs) == len(whole.legs) + 1
    assert not broken.machine.small_lost


def test_a_repeated_leg_keeps_its_limit() -> None:
    config = RelayConfig(max_small_tokens=4)
    scene = Scene(["So,", *["a"] * 9], config=config)
    went = scene.play(breaks={1: Break(after=2)})
    assert went.turns[1] == ("small", "aaaa", "max_small_tokens")
    assert went.legs[1].max_tokens - went.legs[2].max_tokens == 2


def test_a_leg_that_breaks_after_all_that_was_asked_for_is_over() -> None:
    snow = [bytes([byte]) for byte in "☃".encode()]
    scene = Scene(["So,", *snow, "b"], config=RelayConfig(max_small_tokens=1))
    ended = scene.play()
    assert [(s.role, s.text) for s in ended.machine.segments[1:]] == [(SMALL, ""), (LARGE, "☃b")]

    machine = scene.machine()
    machine.receive(Output(0, tuple(scene.ids("So,"))))
    machine.receive(Output(1, tuple(scene.ids(*snow[:2]))))
    machine.next_actions()
    machine.receive(LegFailed(1, "broken", retryable=True))
    [again] = machine.next_actions()
    assert isinstance(again, Generate)
    assert again.role is LARGE


def test_without_the_small_model_the_large_one_writes_on() -> None:
    scene = Scene(SCRIPT, config=SHORT)
    went = scene.play(breaks={1: Break(after=1, retryable=False)})
    assert went.turns == [
        ("large", "We So. So,", "cue:So,"),
        ("small", " two", "failed"),
        ("large", " fits. Then on</think>", "reasoning_end"),
        ("large", " 2.", "eos"),
    ]
    assert went.machine.small_lost
    assert went.finish.reason is FinishReason.STOP


def test_after_a_lost_small_model_no_cue_interrupts_the_large_one() -> None:
    scene = Scene(["So,", " a", ".", " So,", " b", ".", " So,", " c", "."], config=SHORT)
    went = scene.play(breaks={1: Break(retryable=False)})
    assert len(went.legs) == 3


def test_a_small_model_lost_in_the_answer_hands_back() -> None:
    went = Scene(SCRIPT, config=SHORT).play(breaks={3: Break(after=1, retryable=False)})
    assert went.answer == " 2."
    assert [role for role, _, _ in went.turns] == ["large", "small", "large", "small", "large"]


def test_a_lost_large_model_ends_the_generation_and_says_so() -> None:
    went = Scene(SCRIPT).play(breaks={0: Break(after=2, retryable=False)})
    assert went.finish == Finish(FinishReason.ERROR, "broken")
    assert went.machine.error == "broken"
    assert went.text == "We So"


def test_a_stop_string_in_what_a_failure_leaves_is_an_end_without_an_error() -> None:
    scene = Scene(["We", " try", ".", " It"], policy=SpecReason, tags=None, stop=("try",))
    machine = scene.machine()
    machine.receive(Output(0, tuple(scene.ids(*scene.script))))
    shown = machine.receive(LegFailed(1, "broken"))
    assert "".join(part.text for part in shown) == "We "
    assert machine.next_actions()[-1] == Finish(FinishReason.STOP)
    assert machine.error is None


def test_a_reader_who_leaves_cancels_the_leg() -> None:
    scene = Scene(SCRIPT)
    machine = scene.machine()
    assert isinstance(machine.next_actions()[0], Generate)
    machine.receive(Output(0, tuple(scene.ids("We"))))
    machine.cancel()
    assert machine.next_actions() == [Cancel(0), Finish(FinishReason.CANCELLED)]
    assert machine.receive(Output(0, (65, 66))) == []
    assert machine.segments[0].overrun_tokens == 2
    assert machine.cancel() == []
    assert machine.next_actions() == []
    assert machine.finish_reason is FinishReason.CANCELLED


def test_a_cancelled_generation_still_adds_up() -> None:
    for step in range(14):
        went = Scene(SCRIPT, config=SHORT, stop=("2.",)).play(cancel_after=step, late=2)
        assert went.finish.reason in (FinishReason.CANCELLED, FinishReason.STOP)


def test_one_model_alone_needs_only_its_own_facts() -> None:
    for role in (LARGE, SMALL):
        went = play(SCRIPT, roles=(role,), policy=lambda cues, config, r=role: AlonePolicy(r))
        assert {r for r, _, _ in went.turns} == {str(role)}
        assert len(went.legs) == 1
        assert went.text == "".join(SCRIPT)
        lost = Scene(SCRIPT, roles=(role,), policy=lambda cues, config, r=role: AlonePolicy(r))
        end = lost.play(breaks={0: Break(after=1, retryable=False)}).finish
        assert end.reason is FinishReason.ERROR
