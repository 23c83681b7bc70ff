"""Rules 7 and 8: where the reasoning begins and ends, who answers, and how a generation ends."""

from __future__ import annotations

import pytest

from relaygen.relay.config import RelayConfig
from relaygen.relay.events import LegEnded, Output
from relaygen.relay.policies import AlonePolicy
from relaygen.relay.policy import Write
from relaygen.types import FinishReason, LegEnd, ModelRole, Stage
from tests.relay.driving import LARGE, SMALL, Break
from tests.relay.scenes import END, EOS, Scene, play

SHORT = RelayConfig(min_reasoning_tokens=0)
SPLIT = ["</", "think", ">"]


def test_rule_7_the_small_model_answers() -> None:
    went = play(["We", " try", END, " 2", "."], config=SHORT)
    assert went.turns == [
        ("large", "We try</think>", "reasoning_end"),
        ("small", " 2.", "eos"),
    ]
    assert (went.reasoning, went.tags, went.answer) == ("We try", [END], " 2.")
    assert went.machine.usage.reasoning_tokens == 3
    assert went.legs[1].stage is Stage.ANSWER


@pytest.mark.parametrize(("least", "role"), [(3, "small"), (4, "large")])
def test_rule_7_the_small_model_answers_only_after_enough_reasoning(least: int, role: str) -> None:
    went = play(["We", " try", END, " 2"], config=RelayConfig(min_reasoning_tokens=least))
    assert went.turns[1] == (role, " 2", "eos")
    assert len(went.legs) == (2 if role == "small" else 1)  # its own answer needs no new leg


def test_rule_7_who_answers_may_be_said() -> None:
    script = ["We", END, " 2"]
    config = RelayConfig(min_reasoning_tokens=0, answer_role=LARGE)
    assert play(script, config=config).turns[1][0] == "large"
    assert play(script, config=RelayConfig(answer_role=SMALL)).turns[1][0] == "small"


def test_rule_7_an_end_of_reasoning_by_the_small_model_is_dropped_and_a_handback() -> None:
    scene = Scene(["So,", " 2", " it", " is", END, " 2"], small={3: END}, config=SHORT)
    went = scene.play()
    assert went.turns == [
        ("large", "So,", "cue:So,"),
        ("small", " 2 it", "close_tag"),
        ("large", " is</think>", "reasoning_end"),
        ("small", " 2", "eos"),
    ]
    assert scene.token(END) not in went.legs[2].prompt_tokens
    assert went.machine.segments[1].overrun_tokens == 1


def test_rule_7_the_small_model_may_end_the_reasoning_where_it_is_allowed() -> None:
    config = RelayConfig(min_reasoning_tokens=0, small_may_end_reasoning=True)
    went = play(["So,", " 2", END, " 2"], config=config)
    assert went.turns[1:] == [("small", " 2</think>", "reasoning_end"), ("small", " 2", "eos")]
    assert len(went.legs) == 3  # the small leg had a limit, an answer has none


def test_rule_7_a_tag_of_several_tokens_is_matched_as_text() -> None:
    went = play(["We", " try", *SPLIT, " 2"], tags="text", config=SHORT)
    assert (went.reasoning, went.tags, went.answer) == ("We try", [END], " 2")
    assert went.turns == [("large", "We try</think>", "reasoning_end"), ("small", " 2", "eos")]


def test_rule_7_text_around_a_tag_in_its_tokens_keeps_its_stage() -> None:
    went = play(["We.</", "think", ">2", "1"], tags="text", config=SHORT)
    assert (went.reasoning, went.tags, went.answer) == ("We.", [END], "21")


def test_rule_7_what_only_looked_like_a_tag_is_emitted() -> None:
    went = play(["a", " <", "/th", "ough", " <", "b"], tags="text")
    assert went.reasoning == "a </though <b"


def test_rule_7_a_split_tag_by_the_small_model_is_dropped_whole() -> None:
    scene = Scene(
        ["So,", " 2", " it", " is", *SPLIT, " 2"],
        small={2: "</", 3: "think", 4: ">"},
        tags="text",
        config=SHORT,
    )
    went = scene.play()
    assert went.turns[1] == ("small", " 2", "close_tag")
    assert went.machine.segments[1].overrun_tokens == 3
    assert (went.reasoning, went.answer) == ("So, 2 it is", " 2")


def test_rule_7_a_tag_that_the_small_model_began_is_not_completed_by_the_large_one() -> None:
    config = RelayConfig(min_reasoning_tokens=0, max_small_tokens=2, min_small_tokens=0)
    scene = Scene(["So,", " 2", *SPLIT, " 2"], tags="text", config=config)
    went = scene.play()
    assert went.turns[:3] == [
        ("large", "So,", "cue:So,"),
        ("small", " 2", "max_small_tokens"),
        ("large", "</think>", "reasoning_end"),
    ]


@pytest.mark.parametrize("tags", ["token", "text"])
@pytest.mark.parametrize("opening", [["<think>"], ["\n", "<think>"], ["<", "think", ">"]])
def test_rule_7_a_model_may_open_its_reasoning_itself(tags: str, opening: list[str]) -> None:
    script = [*opening, "We", " So,", " try", END, " 2"]
    went = play(script, tags=tags, first_stage=None, config=SHORT)
    assert went.tags == ["<think>", END]
    assert went.reasoning.lstrip() == "We So, try"
    assert went.answer == " 2"


@pytest.mark.parametrize(
    ("script", "reasoning"),
    [
        (["<", "think", "></", "think", ">", " 2"], ""),
        (["<think>We</", "think", ">", " 2"], "We"),
    ],
)
def test_rule_7_a_closing_tag_may_begin_in_the_token_that_completes_the_opening_one(
    script: list[str], reasoning: str
) -> None:
    went = play(script, tags="text", first_stage=None, config=SHORT)
    assert went.tags == ["<think>", END]
    assert (went.reasoning, went.answer) == (reasoning, " 2")


def test_rule_7_cues_count_after_an_opening() -> None:
    went = play(["<think>", "So,", " try", "."], first_stage=None)
    assert [role for role, _, _ in went.turns] == ["large", "small", "large"]


def test_rule_7_without_an_opening_the_large_model_writes_the_whole_reply() -> None:
    went = play(["<", "b", " So,", " 2", "."], first_stage=None, config=SHORT)
    assert went.turns == [("large", "<b So, 2.", "eos")]
    assert (went.reasoning, went.answer) == ("", "<b So, 2.")
    assert went.machine.usage.reasoning_tokens == 0


@pytest.mark.parametrize("script", [["<", "th"], [" "], []])
def test_rule_7_an_opening_that_breaks_off_is_an_answer(script: list[str]) -> None:
    went = play(script, first_stage=None)
    assert went.answer == "".join(script)
    assert went.machine.usage.reasoning_tokens == 0
    cut = play(script, first_stage=None, max_tokens=max(1, len(script)))
    assert cut.answer == "".join(script)


def test_rule_7_an_opening_half_done_by_a_lost_model_is_done_anew() -> None:
    class SmallBegins(AlonePolicy):
        def leg_ended(self, role: ModelRole, reason: LegEnd, segment_tokens: int) -> Write | None:
            return Write(LARGE, "lost") if role is SMALL else None

    scene = Scene(
        ["<", "think", ">", "We"],
        first_stage=None,
        tags="text",
        policy=lambda cues, config: SmallBegins(SMALL),
    )
    went = scene.play(breaks={0: Break(after=2, retryable=False)})
    assert went.turns == [("small", "", "lost"), ("large", "<think>We", "eos")]
    assert went.tags == ["<think>"]


def test_rule_7_with_thinking_switched_off_no_cue_counts() -> None:
    went = play(["So,", " 2", "."], first_stage=Stage.ANSWER)
    assert went.turns == [("large", "So, 2.", "eos")]


def test_rule_7_no_cue_counts_in_an_answer() -> None:
    config = RelayConfig(min_reasoning_tokens=0, answer_role=LARGE)
    went = play(["We", END, "So,", " 2", "."], config=config)
    assert {role for role, _, _ in went.turns} == {"large"}


def test_rule_7_end_of_sequence_before_the_end_of_reasoning_ends_it_all() -> None:
    went = play(["We", " try"])
    assert went.finish.reason is FinishReason.STOP
    assert (went.reasoning, went.answer) == ("We try", "")
    assert went.emitted[-1].text == ""


@pytest.mark.parametrize("tags", ["token", "text"])
def test_rule_7_an_answer_may_be_forced(tags: str) -> None:
    config = RelayConfig(min_reasoning_tokens=0, force_answer=True)
    forced = 1 if tags == "token" else len(END)
    small = {2 + forced: " 2"}
    scene = Scene(["We", " try"], small=small, tags=tags, config=config)
    went = scene.play()
    assert (went.reasoning, "".join(went.tags), went.answer) == ("We try", END, " 2")
    assert went.turns[0][2] == "forced_answer"
    assert scene.vocabulary.eos_id not in went.legs[1].prompt_tokens


def test_rule_7_no_answer_is_forced_without_room() -> None:
    config = RelayConfig(min_reasoning_tokens=0, force_answer=True)
    went = play(["We", " try"], config=config, max_tokens=3)
    assert went.finish.reason is FinishReason.STOP


def test_rule_7_a_model_without_tags_has_one_stage_in_which_cues_count() -> None:
    went = play(["So,", " two", ".", " On"], tags=None, first_stage=None)
    assert [role for role, _, _ in went.turns] == ["large", "small", "large"]
    assert (went.reasoning, went.answer) == ("", "So, two. On")


def test_rule_8_end_of_sequence_in_a_small_segment_is_a_handback() -> None:
    scene = Scene(["So,", " two", " on"], small={2: EOS})
    went = scene.play()
    assert went.turns == [
        ("large", "So,", "cue:So,"),
        ("small", " two", "eos"),
        ("large", " on", "eos"),
    ]
    assert scene.vocabulary.eos_id not in went.legs[2].prompt_tokens
    assert went.machine.segments[1].overrun_tokens == 1


@pytest.mark.parametrize("limit", range(1, 10))
def test_rule_8_a_limit_holds_over_the_whole_generation(limit: int) -> None:
    script = ["So,", " two", " it", " is", ".", " Then", " on", END, " 2", "."]
    went = play(script, max_tokens=limit, config=SHORT)
    assert went.finish.reason is FinishReason.LENGTH
    assert went.text == "".join(script[:limit])
    assert went.machine.segments[-1].ended_by == "length"
    assert all(leg.max_tokens <= limit for leg in went.legs)


def test_rule_8_a_context_that_is_full_ends_with_length() -> None:
    scene = Scene(["We", " try"])
    machine = scene.machine()
    machine.next_actions()
    machine.receive(Output(0, tuple(scene.ids("We"))))
    machine.receive(LegEnded(0, LegEnd.LENGTH))
    assert machine.finish_reason is FinishReason.LENGTH
