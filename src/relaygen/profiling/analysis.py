"""From scored trajectories to statistics of every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from relaygen.errors import ProfilingError
from relaygen.profiling.candidates import Candidate, discover, given_candidates
from relaygen.profiling.effects import Design, Effects, effects, rest_of_all
from relaygen.profiling.sentences import (
    Occurrences,
    Sentences,
    Texts,
    find_cues,
    find_sentences,
    reasoning_texts,
)
from relaygen.profiling.trajectories import Floats, Ints, Trajectories
from relaygen.relay.cues import SwitchCue
from relaygen.relay.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisOptions:
    """What is looked at.

    Attributes:
        given: cues to test in any case.
        discover: whether frequent openers of sentences are candidates too.
        min_count: a discovered candidate opens at least so many sentences.
        min_questions: of so many distinct questions.
        max_small_tokens: the relay's limit on a small segment.
        seed: of the draws behind the intervals.
    """

    given: tuple[SwitchCue, ...] = ()
    discover: bool = True
    min_count: int = 10
    min_questions: int = 5
    max_small_tokens: int = 128
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What follows a cue, for one quantity.

    Attributes:
        mean: of the tokens after it.
        rest: of the rest of the same trajectories.
        effect: the difference.
        low: of its 95 % interval.
        high: likewise.
        p: one-sided p-value.
        q: Benjamini and Hochberg's q-value among all candidates.
    """

    mean: float
    rest: float
    effect: float
    low: float
    high: float
    p: float
    q: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CueStatistics:
    """What is known of one candidate.

    Attributes:
        cue: the candidate.
        given: it was listed, not (only) discovered.
        count: segments that it opens.
        questions: distinct questions among them.
        tokens: in those segments.
        share: of all tokens, answers included.
        length: mean tokens of a segment.
        margin: of the large model.
        agreement: how often the small model's likeliest token is the one that was written; None
            where the small model was not asked.
        whole: share of segments in which it is so for every token; None likewise.
        all_rest: mean margin of all other tokens of the same trajectories (the paper's rest).
    """

    cue: SwitchCue
    given: bool
    count: int
    questions: int
    tokens: int
    share: float
    length: float
    margin: Measured
    agreement: Measured | None
    whole: float | None
    all_rest: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analysis:
    """All that the selection, the profile and the report need.

    Attributes:
        statistics: of each candidate that occurs, in the order of `design`'s cue numbers.
        absent: listed cues that never occur (or never with a token after them).
        design: where they are.
        texts: of the reasonings, token by token.
        margin: of every token.
        agrees: of every token, 0 or 1; None where the small model was not asked.
        tokens: of all trajectories.
        reasoning_tokens: of their reasonings.
        options: of the analysis.
    """

    statistics: tuple[CueStatistics, ...]
    absent: tuple[SwitchCue, ...]
    design: Design = field(repr=False)
    texts: list[Texts] = field(repr=False)
    margin: Floats = field(repr=False)
    agrees: Floats | None = field(repr=False)
    tokens: int
    reasoning_tokens: int
    options: AnalysisOptions

    @property
    def answer_tokens(self) -> int:
        """What is no reasoning: the small model writes it."""
        return self.tokens - self.reasoning_tokens

    @property
    def trajectories(self) -> int:
        """How many."""
        return len(self.texts)


def analyse(
    trajectories: Trajectories, vocabulary: Vocabulary, options: AnalysisOptions | None = None
) -> Analysis:
    """Finds candidates and measures them.

    Args:
        trajectories: scored.
        vocabulary: of the tokenizer that they were written with.
        options: what to look at.

    Raises:
        ProfilingError: there is nothing to analyse.
        MissingExtraError: scipy is not installed.
    """
    options = options or AnalysisOptions()
    if not trajectories.records:
        raise ProfilingError("there are no trajectories to analyse; collect some first")
    texts = reasoning_texts(trajectories, vocabulary)
    sentences = find_sentences(texts)
    question_of = trajectories.question_of
    candidates = find_candidates(sentences, question_of, options)
    cues = [_cue(candidate, options.given) for candidate in candidates]
    found = find_cues(texts, sentences, cues, max_tokens=options.max_small_tokens)
    base = trajectories.first[:-1] + np.array([r.reasoning[0] for r in trajectories.records])
    number, cues_left, found = _only_occurring(found, len(cues))
    design = Design(
        cues=len(cues_left),
        questions=len(trajectories.questions),
        question_of=question_of,
        base=base,
        sentences=sentences,
        occurrences=found,
    )
    margin = np.asarray(trajectories.columns["margin"], dtype=np.float64)
    agrees = None
    if trajectories.has_small:
        agrees = np.asarray(trajectories.columns["agrees"], dtype=np.float64)
    return Analysis(
        statistics=_statistics(
            design,
            [cues[i] for i in cues_left],
            [candidates[i] for i in cues_left],
            margin,
            agrees,
            trajectories.tokens,
            options.seed,
        ),
        absent=tuple(cues[i] for i in range(len(cues)) if number[i] < 0),
        design=design,
        texts=texts,
        margin=margin,
        agrees=agrees,
        tokens=trajectories.tokens,
        reasoning_tokens=sum(map(len, texts)),
        options=options,
    )


def find_candidates(
    sentences: Sentences, question_of: Ints, options: AnalysisOptions
) -> list[Candidate]:
    """The listed cues, and the discovered ones that are not among them."""
    given = [cue.text for cue in options.given]
    candidates = given_candidates(given, sentences, question_of)
    if options.discover:
        candidates += [
            candidate
            for candidate in discover(
                sentences,
                question_of,
                min_count=options.min_count,
                min_questions=options.min_questions,
            )
            if candidate.text not in given
        ]
    return candidates


def _cue(candidate: Candidate, given: Sequence[SwitchCue]) -> SwitchCue:
    listed = (cue for cue in given if cue.text == candidate.text)
    return next(listed, None) or SwitchCue(text=candidate.text)


def _only_occurring(found: Occurrences, cues: int) -> tuple[Ints, list[int], Occurrences]:
    """Numbers the cues that occur anew, from 0 on; -1 for the others."""
    left = np.unique(found.cue)
    number = np.full(cues, -1, dtype=np.int64)
    number[left] = np.arange(len(left))
    renumbered = Occurrences(
        cue=number[found.cue],
        text=found.text,
        sentence=found.sentence,
        start=found.start,
        stop=found.stop,
    )
    return number, left.tolist(), renumbered


def _statistics(
    design: Design,
    cues: Sequence[SwitchCue],
    candidates: Sequence[Candidate],
    margin: Floats,
    agrees: Floats | None,
    tokens: int,
    seed: int,
) -> tuple[CueStatistics, ...]:
    if not cues:
        return ()
    found = design.occurrences
    count = np.bincount(found.cue, minlength=len(cues))
    covered = np.bincount(found.cue, weights=found.stop - found.start, minlength=len(cues))
    pairs = np.unique(found.cue * design.questions + design.question_of[found.text])
    questions = np.bincount(pairs // design.questions, minlength=len(cues))
    of_margin = effects(design, margin, seed=seed)
    of_agreement = None if agrees is None else effects(design, agrees, seed=seed)
    whole = None if agrees is None else whole_segments(design, agrees)
    all_rest = rest_of_all(design, margin)
    return tuple(
        CueStatistics(
            cue=cue,
            given=candidates[i].given,
            count=int(count[i]),
            questions=int(questions[i]),
            tokens=int(covered[i]),
            share=float(covered[i] / tokens),
            length=float(covered[i] / count[i]),
            margin=_measured(of_margin, i),
            agreement=None if of_agreement is None else _measured(of_agreement, i),
            whole=None if whole is None else float(whole[i]),
            all_rest=_finite(all_rest[i]),
        )
        for i, cue in enumerate(cues)
    )


def whole_segments(design: Design, agrees: Floats) -> Floats:
    """Of shape (cues,): the share of segments that the small model would write word for word."""
    found = design.occurrences
    total = np.concatenate(([0.0], np.cumsum(agrees)))
    base = design.base[found.text]
    same = total[base + found.stop] - total[base + found.start] == found.stop - found.start
    counts = np.bincount(found.cue, minlength=design.cues)
    shares: Floats = np.bincount(found.cue, weights=same, minlength=design.cues) / counts
    return shares


def _measured(found: Effects, i: int) -> Measured:
    names = ("mean", "rest", "effect", "low", "high", "p", "q")
    return Measured(**{name: _finite(getattr(found, name)[i]) for name in names})


def _finite(value: float) -> float:
    """JSON knows no NaN; it comes up where a cue's trajectories hold nothing else."""
    return float(value) if np.isfinite(value) else 0.0
