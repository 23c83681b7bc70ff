"""The packaged policies, by what they make of a script."""

from __future__ import annotations

import pytest

from relaygen.errors import InvalidRequestError, ProtocolError
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.policies import POLICIES, PaperPolicy, RandomPolicy, make_policy
from relaygen.types import ModelRole
from tests.relay.scenes import END, Scene, play

PAPER = RelayConfig.paper_faithful()
TWELVE = [token for i in range(12) for token in (f" {i}", " is", " it", " so", ".")]


def paper(script: list[str], *cues: str) -> list[tuple[str, str, str]]:
    return play(script, cues=cues or ("now",), config=PAPER, policy=PaperPolicy).turns


def test_rule_11_paper_faithful_mutes_five_tokens_of_every_large_leg() -> None:
    # A cue that is complete within the first five tokens does not count, the sixth's does.
    script = ["now", " a", " b", " c", " now", " now", " d", ".", " now", " e"]
    assert paper(script)[:3] == [
        ("large", "now a b c now now", "cue:now"),
        ("small", " d.", "sentence_end"),
        ("large", " now e</think>", "forced_answer"),
    ]


def test_rule_11_paper_faithful_matches_substrings() -> None:
    turns = paper(["a", "b", "c", "d", "e", " know", " 3", ".", "14"])
    assert turns[:2] == [("large", "abcde know", "cue:now"), ("small", " 3.", "sentence_end")]


def test_rule_11_a_paper_cue_in_pieces_counts_within_one_leg_only() -> None:
    assert paper(["a", "b", "c", "d", "e", "n", "ow", " x", "."])[0][1] == "abcdenow"
    turns = paper(["a", "b", "c", "d", "e", "now", " x.n", "ow", "f", "g", "h", "i", "now"])
    assert turns[2] == ("large", "owfghinow", "cue:now")


def test_rule_11_in_paper_faithful_the_small_model_may_end_the_reasoning_and_answers() -> None:
    turns = paper(["a", "b", "c", "d", "e", "now", " x", END, " 2"])
    assert turns[1:] == [("small", " x</think>", "reasoning_end"), ("small", " 2", "eos")]


def test_rule_11_in_paper_faithful_a_missing_end_of_reasoning_is_inserted() -> None:
    went = Scene(["We", " try"], small={3: " 2"}, config=PAPER, policy=PaperPolicy).play()
    assert went.answer == " 2"
    assert went.turns[0] == ("large", "We try</think>", "forced_answer")


def test_rule_6_the_mute_of_the_paper_may_be_had_with_our_matching() -> None:
    config = RelayConfig(mute_tokens=1)
    assert play(["So,", " a", "."], config=config).turns == [("large", "So, a.", "eos")]
    assert len(play(["\n", "So,", " a", "."], config=config).legs) > 1


def test_a_random_handoff_repeats_and_depends_on_its_seed() -> None:
    def turns(seed: int) -> list[tuple[str, str, str]]:
        return play(TWELVE, policy=lambda cues, config: RandomPolicy(0.5, seed, config)).turns

    assert turns(1) == turns(1)
    assert len({str(turns(seed)) for seed in range(5)}) > 1
    assert {ended for _, _, ended in turns(1)} <= {"random", "sentence_end", "eos"}


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 3, 9), (1.0, 12, 12)])
def test_a_random_handoff_has_its_share_of_sentences(share: float, least: int, most: int) -> None:
    config = RelayConfig(min_small_tokens=0, max_small_run=99)
    went = play(TWELVE, config=config, policy=lambda cues, c: RandomPolicy(share, 0, c))
    assert least <= sum(ended == "random" for _, _, ended in went.turns) <= most


def test_a_random_handoff_falls_after_the_first_word_of_a_sentence() -> None:
    went = play(
        ["**", "One", " is", ".", " Two", "."],
        config=RelayConfig(min_small_tokens=0),
        policy=lambda cues, config: RandomPolicy(1.0, 0, config),
    )
    assert [text for _, text, _ in went.turns] == ["**One", " is.", " Two", ".", ""]


def test_policies_are_found_by_name() -> None:
    for name in POLICIES:
        policy = make_policy(name, [SwitchCue(text="So,")], RelayConfig())
        assert policy.name == name
        assert policy.begin().role is (ModelRole.SMALL if name == "small" else ModelRole.LARGE)
        with pytest.raises(ProtocolError):
            policy.judged(())


def test_what_no_policy_can_do_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequestError, match="'relais'; take one of: relay, large"):
        make_policy("relais", (), RelayConfig())
    with pytest.raises(InvalidRequestError, match="handoff_share is 1.5"):
        make_policy("random", (), RelayConfig(), handoff_share=1.5)
    with pytest.raises(InvalidRequestError, match="max_small_tokens is 0"):
        RelayConfig(max_small_tokens=0)
