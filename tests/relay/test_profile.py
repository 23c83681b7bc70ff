import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen import profiles
from relaygen.errors import CueProfileError
from relaygen.relay.cues import CuePosition, SwitchCue
from relaygen.relay.profile import CueProfile
from relaygen.relay.provenance import Provenance

VALID: dict[str, Any] = {
    "schema_version": 1,
    "name": "mine",
    "large_model": "L",
    "small_model": "S",
    "source": "made up",
    "cues": [{"text": "So,"}, {"text": "now", "position": "anywhere", "confirm_tokens": 1}],
}


PROVENANCE = Provenance(
    tool_version="0.1.0",
    data="train.jsonl",
    data_sha256="ab",
    questions=3,
    trajectories=6,
    tokens=1000,
    seed=1,
    sampling={"temperature": 0.6, "top_k": 20},
    rule="tested",
    utilisation=0.5,
    agreement=0.9,
)


def changed(**changes: Any) -> str:
    return json.dumps({**VALID, **changes})


def test_reads_what_it_says() -> None:
    profile = CueProfile.from_json(json.dumps(VALID))
    assert profile.cues == (
        SwitchCue(text="So,"),
        SwitchCue(text="now", position=CuePosition.ANYWHERE, confirm_tokens=1),
    )
    assert profile.tokenizer_fingerprint is None


@given(
    texts=st.lists(
        st.sampled_from(["So", "So ", "So,", "Thus", "now", "所以"]), min_size=1, unique=True
    ),
    position=st.sampled_from(CuePosition),
    confirm_tokens=st.integers(0, 1),
    notes=st.text(st.characters(exclude_categories=["Cs"])),
    figures=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
)
def test_json_round_trip(
    texts: list[str],
    position: CuePosition,
    confirm_tokens: int,
    notes: str,
    figures: dict[str, float],
) -> None:
    profile = CueProfile(
        name="n",
        cues=tuple(
            SwitchCue(text=t, position=position, confirm_tokens=confirm_tokens) for t in texts
        ),
        large_model="L",
        small_model="S",
        source="s",
        notes=notes,
        tokenizer_fingerprint="f",
        statistics={texts[0]: figures} if figures else {},
        why={texts[-1]: notes} if notes else {},
        provenance=PROVENANCE if figures else None,
    )
    assert CueProfile.from_json(profile.to_json()) == profile


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a valid cue profile"),
        ("[" * 100_000, "not a valid cue profile"),
        ('{"schema_version": 1, "x": ' + "[" * 100_000, "not a valid cue profile"),
        ('"\ud800"', "not a valid cue profile"),
        (" " * 4_000_001, "4000001 characters"),
        (changed(schema_version=2), "schema_version is 2"),
        (changed(schema_version="1"), r"schema_version"),
        (changed(cues=[]), "0 cues"),
        (changed(cues=[{"text": "So"}] * 2), r"cues\[1\]: 'So' is listed twice"),
        (changed(cues=[{"text": "So"}, {"text": ""}]), r"cues\[1\]: cue ''"),
        (changed(cues=[{"text": "So", "position": "end"}]), r"\$.cues\[0\].position"),
        (changed(cues=[{"text": "So", "confirm_tokens": 7}]), "confirm_tokens is 7"),
        (changed(cues=[{"text": f"a{i}"} for i in range(1025)]), "1025 cues"),
        (changed(name=" "), "name"),
        (changed(name="x" * 201), "name has 201"),
        (changed(surprise=1), "surprise"),
        (changed(provenance={"tool_version": "1"}), "provenance"),
        (changed(cues=[{"text": "So", "why": 3}]), "why"),
        (changed(cues=[{"text": "So", "statistics": {"n": "x"}}]), r"statistics"),
    ],
)
def test_hostile_json_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(CueProfileError, match=message):
        CueProfile.from_json(text)


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(CueProfileError):
        CueProfile.from_json(text)


@pytest.mark.parametrize(
    "statistics", [{"Thus": {"n": 1.0}}, {"So": {"n": math.nan}}, {"So": {"n": math.inf}}]
)
def test_statistics_are_numbers_of_listed_cues(statistics: dict[str, dict[str, float]]) -> None:
    with pytest.raises(CueProfileError, match="statistic"):
        CueProfile(
            name="n",
            cues=(SwitchCue(text="So"),),
            large_model="L",
            small_model="S",
            source="s",
            statistics=statistics,
        )


def test_fingerprint() -> None:
    untied = CueProfile.from_json(changed())
    untied.check_fingerprint("abc")
    tied = CueProfile.from_json(changed(tokenizer_fingerprint="abc"))
    tied.check_fingerprint("abc")
    tied.check_fingerprint("other", force=True)
    with pytest.raises(CueProfileError, match=r"'abc'.*'other'"):
        tied.check_fingerprint("other")
    tied.untied().check_fingerprint("other")


def test_packaged_profiles_load_under_their_own_name() -> None:
    assert profiles.available() == ("demo", "qwen3", "r1-distill")
    counts = {name: len(profiles.load(name).cues) for name in profiles.available()}
    assert counts == {"demo": 5, "qwen3": 28, "r1-distill": 25}
    for name in profiles.available():
        profile = profiles.load(name)
        assert profile.name == name
        for cue in profile.cues:
            assert (cue.position is CuePosition.ANYWHERE) == cue.text[0].islower()


def test_load_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(VALID), encoding="utf-8")
    assert profiles.load(path).name == profiles.load(str(path)).name == "mine"
    path.write_bytes(b"\xff")
    with pytest.raises(CueProfileError, match=r"mine\.json"):
        profiles.load(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(CueProfileError, match=r"mine\.json: not a valid"):
        profiles.load(path)


@pytest.mark.parametrize("name", ["nope", "", "a\x00b", "../demo", "/"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(CueProfileError, match="demo, qwen3, r1-distill"):
        profiles.load(name)
