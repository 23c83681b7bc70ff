"""Rules 9 and 10: the noise of one model, the client's stop strings, and what is counted."""

from __future__ import annotations

import pytest

from relaygen.relay.config import RelayConfig
from relaygen.relay.events import Generate, Output
from relaygen.types import FinishReason, Sampling
from tests.relay.driving import LARGE, SMALL, Break
from tests.relay.scenes import END, SHORT, Scene, play

SCRIPT = ["So,", " two", ".", " On", " So,", " 3", ".", END, " 2", "."]


def seeds(**options: object) -> list[int | None]:
    return [leg.sampling.seed for leg in play(SCRIPT, config=SHORT, **options).legs]


def test_rule_9_every_leg_has_its_own_seed_and_a_run_repeats() -> None:
    first = seeds(seed=7)
    assert len(set(first)) == len(first) > 2
    assert seeds(seed=7) == first
    assert not set(seeds(seed=8)) & set(first)
    assert not set(seeds(seed=7, choice_index=1)) & set(first)
    assert all(seed is not None and 0 <= seed < 2**32 for seed in first)


def test_rule_9_a_seed_is_of_a_position_and_a_role() -> None:
    one = Scene(["So,", " two", "."], seed=1, prompt="Q").play()
    other = Scene(["So,", " two", "."], seed=1, prompt="QQ").play()
    assert one.legs[0].sampling.seed != other.legs[0].sampling.seed
    assert one.legs[1].sampling.seed != other.legs[0].sampling.seed


def test_rule_9_without_a_request_seed_none_is_sent() -> None:
    assert set(seeds(sampling=Sampling(seed=3))) == {None}


def test_rule_9_sampling_and_end_ids_are_those_of_the_role() -> None:
    went = play(SCRIPT, sampling=Sampling(temperature=0.6, top_p=0.9))
    assert {leg.sampling.temperature for leg in went.legs} == {0.6}
    assert all(leg.eos_ids for leg in went.legs)


def test_rule_9_penalties_count_from_the_first_generated_token() -> None:
    assert {leg.generated_from for leg in play(SCRIPT).legs} == {1}


def test_rule_10_a_stop_string_counts_in_the_answer_only() -> None:
    went = play(["a", "b", END, "1", "a", "b", "c"], stop=("ab",), config=SHORT)
    assert (went.reasoning, went.answer) == ("ab", "1")
    assert went.finish.reason is FinishReason.STOP
    assert went.machine.segments[-1].ended_by == "stop"


def test_rule_10_a_tail_that_may_begin_a_stop_string_is_held_back() -> None:
    scene = Scene([END, "x", "a", "b", "d", "a"], stop=("abc",), config=SHORT)
    assert shown_by_token(scene) == [END, "x", "", "", "abd", "", "a"]


def shown_by_token(scene: Scene) -> list[str]:
    """What each token showed, end-of-sequence too."""
    machine = scene.machine()
    shown = []
    leg = -1
    for place in range(len(scene.script) + 1):
        for action in machine.next_actions():
            if isinstance(action, Generate):
                leg = action.leg_id
        prefix = [0] * (len(scene.prompt) + place)
        out = machine.receive(Output(leg, (scene.writer({})(prefix),)))
        shown.append("".join(part.text for part in out))
    return shown


@pytest.mark.parametrize(
    ("pieces", "stop", "answer"),
    [
        (["1", "abc", "d"], ("bc",), "1a"),
        (["1", "ab", "cd"], ("bc",), "1a"),
        (["1", "a", "a", "b"], ("aab", "ab"), "1"),
        (["1", "abc"], ("b", "abc"), "1a"),  # the one that is complete first
        (["a", "b"], ("ab",), ""),
        (["é", "\n\n", "x"], ("\n\n",), "é"),
        (["a", "b"], ("abc",), "ab"),
    ],
)
def test_rule_10_stop_strings(pieces: list[str], stop: tuple[str, ...], answer: str) -> None:
    went = play([END, *pieces], stop=stop, config=SHORT)
    assert went.answer == answer
    whole = play(["x", *pieces], stop=stop, tags=None, first_stage=None)
    assert whole.answer == "x" + answer


def test_rule_10_where_there_is_one_stage_stop_strings_cross_segments() -> None:
    script = ["So,", " two", ".", " Then", " on", "."]
    went = play(script, stop=(". Th",), tags=None, first_stage=None)
    assert went.text == "So, two"
    assert went.turns == [
        ("large", "So,", "cue:So,"),
        ("small", " two", "sentence_end"),
        ("large", "", "stop"),
    ]
    assert went.finish.reason is FinishReason.STOP


def test_rule_10_a_stop_string_in_a_look_ahead_token_is_not_seen() -> None:
    script = ["So,", " two", ".", " STOP", "!"]
    went = play(script, large={3: " Go"}, stop=("STOP",), tags=None, first_stage=None)
    assert went.text == "So, two. Go!"


def test_rule_10_a_stop_string_behind_the_tag_in_its_own_token() -> None:
    went = play(["We", "</", "think", ">2\n", "3"], stop=("\n",), tags="text", config=SHORT)
    assert (went.reasoning, went.answer) == ("We", "2")
    assert went.finish.reason is FinishReason.STOP
    assert len(went.legs) == 1


def test_rule_10_a_stop_string_over_a_leg_that_failed() -> None:
    scene = Scene([END, "1", "a", "b", "c"], stop=("ab",), config=SHORT)
    assert scene.play(breaks={1: Break(after=2)}).answer == "1"


def test_rule_10_end_of_sequence_is_counted_and_listed_with_empty_text() -> None:
    went = play(["We", END, " 2"], config=SHORT)
    assert went.machine.usage.completion_tokens == 4
    assert (went.emitted[-1].text, len(went.emitted[-1].token_ids)) == ("", 1)


def test_scores_go_with_their_tokens() -> None:
    for tags in ("token", "text"):
        went = play(["We", "</", "think", ">2", "."], tags=tags, want_scores=True)
        assert all(len(part.scores or ()) == len(part.token_ids) for part in went.emitted)
        assert all(leg.want_scores for leg in went.legs)


def test_hints_to_read_ahead_name_the_other_model_and_what_is_new() -> None:
    config = RelayConfig(read_ahead=2)
    scene = Scene(["a", "b", "c", "d", "So", "e"], config=config)
    went = scene.play()
    kept = scene.ids("a", "b", "c", "d")
    assert [(p.role, p.prompt_tokens) for p in went.prefills[:2]] == [
        (SMALL, (*b"Q", *kept[:2])),
        (SMALL, (*b"Q", *kept)),
    ]
    assert not Scene(["a", "b", "c"], config=config, roles=(LARGE,)).play().prefills
