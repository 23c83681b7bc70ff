from __future__ import annotations

import pytest

from relaygen.errors import ProfilingError
from relaygen.profiling.enough import shortages
from relaygen.profiling.profile import describe, make_profile
from relaygen.profiling.selection import Rule, select, select_for
from relaygen.relay.profile import CueProfile
from relaygen.relay.provenance import Provenance

from .test_analysis import world

PROVENANCE = Provenance(
    tool_version="0",
    data="d",
    data_sha256="x",
    questions=30,
    trajectories=30,
    tokens=1000,
    seed=0,
    rule=describe(Rule()),
    utilisation=1.0,
)
NAMES = {"name": "n", "large_model": "L", "small_model": "S", "fingerprint": "f"}


def test_a_profile_says_why_and_what_to_expect() -> None:
    analysis = world()
    profile = make_profile(analysis, select(analysis, Rule()), provenance=PROVENANCE, **NAMES)
    (cue,) = profile.cues
    assert cue.text == "So,"
    assert cue.confirm_tokens == 0
    assert "agreement +" in profile.why["So,"]
    assert profile.statistics["So,"]["effect"] == pytest.approx(0.1, abs=0.02)
    assert profile.provenance is not None
    so = profile.statistics["So,"]
    expected = 1 - so["share"] - analysis.answer_tokens / analysis.tokens
    assert profile.provenance.utilisation == pytest.approx(expected, abs=1e-5)
    assert profile.provenance.agreement == pytest.approx(so["agreement"], abs=1e-5)
    assert CueProfile.from_json(profile.to_json()) == profile


def test_a_cue_that_begins_another_waits() -> None:
    analysis = world()
    profile = make_profile(
        analysis, select_for(analysis, Rule(), 0.01), provenance=PROVENANCE, **NAMES
    )
    waits = {cue.text: cue.confirm_tokens for cue in profile.cues}
    for text, tokens in waits.items():
        longer = any(t != text and t.startswith(text) for t in waits)
        assert tokens == longer


def test_no_cue_makes_no_profile() -> None:
    analysis = world((), questions=6)
    with pytest.raises(ProfilingError, match="no candidate was taken"):
        make_profile(analysis, [], provenance=PROVENANCE, **NAMES)


def test_too_few_questions_are_told_with_how_many_more() -> None:
    few = world(questions=6)
    told = shortages(few, select(few, Rule()), Rule())
    assert "6 questions are few: error rates hold from about 100 on; take 94 more" in told[0]
    rule = Rule(min_count=1000)
    told = shortages(few, select(few, rule), rule)
    assert any("too rare" in line and "more questions" in line for line in told)
    enough = world(questions=100)
    assert not any("are few" in line for line in shortages(enough, select(enough, Rule()), Rule()))


def test_what_may_still_come_out_is_told() -> None:
    """A faint effect, of which the data so far show no more than a hint."""
    found = []
    for seed in range(6):
        analysis = world((), questions=8, seed=seed, small=False)
        found += shortages(analysis, select(analysis, Rule()), Rule())
    assert any("not beyond chance" in line for line in found)
