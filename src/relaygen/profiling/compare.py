"""Two profiles, compared or put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relaygen.errors import CueProfileError
from relaygen.relay.cues import SwitchCue
from relaygen.relay.profile import CueProfile


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What tells two profiles apart.

    Attributes:
        only_first: cues of the first alone.
        only_second: cues of the second alone.
        changed: cues of both that count in other places, or wait otherwise.
        both: texts of the cues of both.
        same_tokenizer: whether they can serve one pair; None where one is tied to none.
    """

    only_first: tuple[SwitchCue, ...]
    only_second: tuple[SwitchCue, ...]
    changed: tuple[tuple[SwitchCue, SwitchCue], ...]
    both: tuple[str, ...]
    same_tokenizer: bool | None


def difference(first: CueProfile, second: CueProfile) -> Difference:
    """Compares the cues of two profiles, by text."""
    a, b = ({cue.text: cue for cue in profile.cues} for profile in (first, second))
    prints = first.tokenizer_fingerprint, second.tokenizer_fingerprint
    return Difference(
        only_first=tuple(cue for text, cue in a.items() if text not in b),
        only_second=tuple(cue for text, cue in b.items() if text not in a),
        changed=tuple((cue, b[text]) for text, cue in a.items() if text in b and b[text] != cue),
        both=tuple(text for text in a if text in b),
        same_tokenizer=None if None in prints else prints[0] == prints[1],
    )


def merge(profiles: Sequence[CueProfile], *, name: str, force: bool = False) -> CueProfile:
    """All cues of several profiles; of a text in several of them the first one's cue.

    Statistics and reasons stay with their cues; where the data came from is told in words, for no
    one figure holds for all of them any more.

    Args:
        profiles: at least one.
        name: of the result.
        force: put profiles of different tokenizers together; the result is tied to none.

    Raises:
        CueProfileError: they belong to different tokenizers.
    """
    tied = {p.tokenizer_fingerprint for p in profiles if p.tokenizer_fingerprint is not None}
    if len(tied) > 1 and not force:
        raise CueProfileError(
            f"the profiles {', '.join(repr(p.name) for p in profiles)} were made for "
            f"{len(tied)} different tokenizers; --force puts them together all the same"
        )
    holders = {cue.text: p for p in reversed(profiles) for cue in p.cues}
    cues = {cue.text: cue for p in reversed(profiles) for cue in p.cues}
    order = dict.fromkeys(cue.text for p in profiles for cue in p.cues)
    first = profiles[0]
    return replace(
        first,
        name=name,
        cues=tuple(cues[text] for text in order),
        source=" ".join(["Merged.", *(f"{p.name}: {p.source}" for p in profiles)]),
        tokenizer_fingerprint=tied.pop() if len(tied) == 1 else None,
        statistics={t: holders[t].statistics[t] for t in order if t in holders[t].statistics},
        why={t: holders[t].why[t] for t in order if t in holders[t].why},
        provenance=first.provenance if len(profiles) == 1 else None,
    )
