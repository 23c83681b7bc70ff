from __future__ import annotations

from dataclasses import replace

import pytest

from relaygen.errors import CueProfileError
from relaygen.profiling.compare import difference, merge
from relaygen.relay.cues import SwitchCue
from relaygen.relay.profile import CueProfile


def profile(name: str, *cues: str, fingerprint: str | None = None, **waits: int) -> CueProfile:
    return CueProfile(
        name=name,
        cues=tuple(SwitchCue(text=c, confirm_tokens=waits.get(c, 0)) for c in cues),
        large_model="L",
        small_model="S",
        source=f"source of {name}",
        tokenizer_fingerprint=fingerprint,
        statistics={cues[0]: {"effect": len(name)}},
        why={cues[0]: f"why {name}"},
    )


def test_a_difference_names_what_is_where() -> None:
    found = difference(profile("a", "So", "Now", "Thus"), profile("b", "Now", "So", "Okay", So=1))
    assert [c.text for c in found.only_first] == ["Thus"]
    assert [c.text for c in found.only_second] == ["Okay"]
    assert found.both == ("So", "Now")
    assert [(a.confirm_tokens, b.confirm_tokens) for a, b in found.changed] == [(0, 1)]
    assert found.same_tokenizer is None


def test_the_first_profile_wins_in_a_merge() -> None:
    merged = merge([profile("a", "So", "Now"), profile("bb", "Thus", "So", So=1)], name="m")
    assert [(c.text, c.confirm_tokens) for c in merged.cues] == [("So", 0), ("Now", 0), ("Thus", 0)]
    assert merged.statistics == {"So": {"effect": 1}, "Thus": {"effect": 2}}
    assert merged.why == {"So": "why a", "Thus": "why bb"}
    assert "source of bb" in merged.source
    assert CueProfile.from_json(merged.to_json()) == merged


def test_other_tokenizers_are_refused_unless_forced() -> None:
    a, b = profile("a", "So", fingerprint="x"), profile("b", "Now", fingerprint="y")
    assert difference(a, b).same_tokenizer is False
    with pytest.raises(CueProfileError, match="2 different tokenizers"):
        merge([a, b], name="m")
    assert merge([a, b], name="m", force=True).tokenizer_fingerprint is None
    untied = replace(b, tokenizer_fingerprint=None)
    assert merge([a, untied], name="m").tokenizer_fingerprint == "x"
