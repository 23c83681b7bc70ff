"""The peers fit the policy interface: no second machine is needed for any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from relaygen.errors import ProtocolError
from relaygen.relay.cues import SwitchCue
from relaygen.relay.events import Finish, LegFailed, Output, Score
from relaygen.relay.policy import Decision, Judge, Step, Write
from relaygen.types import FinishReason, TokenScore
from tests.relay.driving import LARGE, SMALL, SURE, UNSURE, Break, Play
from tests.relay.peer_policies import (
    PEERS,
    Glimpse,
    Peer,
    SpecReason,
    SpeculativeThinking,
    TokenRouter,
)
from tests.relay.scenes import END, EOS, Scene

SCRIPT = ["We", " try", ".", " It", " fits", ".", " Done", ".", END, " 2"]
DRAFT = {3: " Hm", 4: " no"}


def unsure_at(*places: int) -> Callable[[Sequence[int]], TokenScore]:
    return lambda prefix: UNSURE if len(prefix) - 1 in places else SURE


def play(peer: type[Peer], script: Sequence[str] = SCRIPT, **options: object) -> Play:
    ways = {k: options.pop(k) for k in ("breaks", "score", "sizes") if k in options}
    return Scene(script, policy=peer, **options).play(**ways)  # type: ignore[arg-type]


def test_specreason_drafts_are_shown_only_once_they_were_accepted() -> None:
    went = play(SpecReason, small=DRAFT, score=unsure_at(3, 4))
    assert went.text == "".join(SCRIPT)
    assert went.turns == [
        ("small", "We try.", "accepted"),
        ("small", "", "rejected"),
        ("large", " It fits.", "sentence_end"),
        ("small", " Done.", "accepted"),
        ("small", "", "close_tag"),
        ("large", "</think>", "reasoning_end"),
        ("large", " 2", "eos"),
    ]
    scored = [action for action in went.actions if isinstance(action, Score)]
    assert [(s.role, s.from_token, len(s.prompt_tokens)) for s in scored] == [
        (LARGE, 1, 4),
        (LARGE, 4, 7),
        (LARGE, 7, 9),
    ]
    assert went.machine.segments[1].overrun_tokens == 4  # the draft, and one looked ahead at


def test_specreason_a_draft_that_breaks_off_is_scored_too() -> None:
    went = play(SpecReason, small={2: EOS})
    assert went.turns[:2] == [("small", "We try", "accepted"), ("small", "", "eos")]


@pytest.mark.parametrize("retryable", [True, False])
def test_specreason_a_scoring_that_fails(retryable: bool) -> None:
    scene = Scene(SCRIPT, policy=SpecReason)
    machine = scene.machine()
    machine.receive(Output(0, tuple(scene.ids(*SCRIPT[:4]))))
    score = machine.next_actions()[-1]
    assert isinstance(score, Score)
    machine.receive(LegFailed(score.leg_id, "gone", retryable))
    [action] = machine.next_actions()
    if retryable:
        assert action == replace(score, leg_id=score.leg_id + 1)
    else:
        assert action == Finish(FinishReason.ERROR, "gone")


def test_specreason_without_the_small_model() -> None:
    went = play(SpecReason, breaks={2: Break(after=1, retryable=False)})
    assert went.text == "".join(SCRIPT)
    assert went.machine.small_lost


def test_glimpse_looks_at_one_token_and_keeps_it_or_not() -> None:
    went = play(Glimpse, small=DRAFT, score=unsure_at(3))
    assert went.turns[:4] == [
        ("small", "We try.", "sentence_end"),
        ("small", "", "unsure"),
        ("large", " It fits.", "sentence_end"),
        ("small", " Done.", "close_tag"),
    ]
    assert went.text == "".join(SCRIPT)


def test_glimpse_streams_a_sentence_that_it_trusts() -> None:
    went = play(Glimpse)
    assert [part.text for part in went.emitted[:3]] == ["We", " try", "."]


def test_a_token_router_has_single_tokens_written_by_the_large_model() -> None:
    went = play(TokenRouter, small={1: " fail", 4: " not"}, score=unsure_at(1, 4))
    assert went.text == "".join(SCRIPT)
    assert went.turns[:5] == [
        ("small", "We", "unsure"),
        ("large", " try", "token"),
        ("small", ". It", "unsure"),
        ("large", " fits", "token"),
        ("small", ". Done.", "close_tag"),
    ]
    assert [len(s.token_ids) for s in went.machine.segments[:4]] == [1, 1, 2, 1]


def test_speculative_thinking_has_the_large_model_help() -> None:
    script = ["We", ".", " Wait", " no", " I", " see", " it", " Done", "."]
    went = play(SpeculativeThinking, script, cues=["Wait"])
    assert went.turns[:3] == [
        ("small", "We. Wait", "cue:Wait"),
        ("large", " no I see it", "helped"),
        ("small", " Done.", "eos"),
    ]


def test_a_token_that_ends_a_sentence_and_begins_a_tag_is_not_written_for_ever() -> None:
    went = play(Glimpse, ["We", ".\n\n<", "b", " on"], tags="text")
    assert went.text == "We.\n\n<b on"


def test_after_a_lost_small_model_a_limited_large_leg_goes_on() -> None:
    script = ["a", "b", "c", "d", "e", "f", "g", "h"]
    went = play(TokenRouter, script, large={2: "<t>"}, unshared=["<t>"], score=unsure_at(2))
    assert went.text == "ab<t>defgh"
    assert went.finish.reason is FinishReason.STOP


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_peers_do_the_same_however_the_tokens_arrive(peer: type[Peer], size: int) -> None:
    alone = play(peer, small=DRAFT, score=unsure_at(1, 3, 4), tags="text")
    together = play(peer, small=DRAFT, score=unsure_at(1, 3, 4), tags="text", sizes=[size] * 999)
    assert together.turns == alone.turns


@pytest.mark.parametrize("peer", PEERS)
def test_peers_with_a_model_that_opens_its_reasoning_itself(peer: type[Peer]) -> None:
    went = play(peer, ["<think>", *SCRIPT], first_stage=None)
    assert went.text == "<think>" + "".join(SCRIPT)
    assert went.tags == ["<think>", END]
    answered = play(peer, ["Hi", " you", "."], first_stage=None)
    assert answered.answer == "Hi you."


def test_a_confirmed_cue_counts_once_for_every_policy() -> None:
    class AtCues(Peer):
        def begin(self) -> Write:
            return Write(LARGE, "")

        def token(self, step: Step) -> Decision:
            if step.role is SMALL or step.cue is None:
                return None
            return Write(SMALL, "cue", drop=step.tokens)

    cue = SwitchCue(text="Thus", confirm_tokens=1)
    went = play(AtCues, ["Thus", " we", " go"], cues=[cue], small={1: EOS})
    assert [text for _, text, _ in went.turns] == ["Thus", "", " we go"]


class Careless(Peer):
    def begin(self) -> Write:
        return Write(SMALL, "")

    def token(self, step: Step) -> Decision:
        return Judge(LARGE) if step.segment_tokens == 2 else None


def test_a_policy_cannot_take_back_what_was_shown() -> None:
    with pytest.raises(ProtocolError, match="nothing is undecided"):
        play(Careless)

    class Greedy(Careless):
        def token(self, step: Step) -> Decision:
            return Write(LARGE, "", drop=2) if step.segment_tokens == 2 else None

    with pytest.raises(ProtocolError, match="dropped 2 tokens, and 0 were undecided"):
        play(Greedy)
