"""The speed-up that a relay can reach when the two models work in sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relaygen.types import ModelRole


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Milliseconds a token of one model.

    Attributes:
        write: decoding one token.
        read: prefill of one token, in a batch of about a sentence.
    """

    write: float
    read: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Who wrote and who read how many tokens in one trace.

    Attributes:
        prompt: tokens of the prompt, read by both.
        large_written: tokens by the large model.
        small_written: tokens by the small model.
        small_reads: large-written tokens before the last small segment.
        large_reads: small-written tokens before the last large segment; the answer never is.
    """

    prompt: int
    large_written: int
    small_written: int
    small_reads: int
    large_reads: int


def reading_of(prompt_tokens: int, segments: Sequence[tuple[ModelRole, int]]) -> Reading:
    """Counts what was written and read.

    Args:
        prompt_tokens: length of the prompt.
        segments: (role, kept tokens) of every segment, in order.
    """
    written = dict.fromkeys(ModelRole, 0)
    reads = dict.fromkeys(ModelRole, 0)
    for role, tokens in segments:
        if tokens:
            reads[role] = written[role.other]  # everything of the other's before it was read
            written[role] += tokens
    return Reading(
        prompt=prompt_tokens,
        large_written=written[ModelRole.LARGE],
        small_written=written[ModelRole.SMALL],
        small_reads=reads[ModelRole.SMALL],
        large_reads=reads[ModelRole.LARGE],
    )


def limit(reading: Reading, large: Costs, small: Costs) -> float:
    """Time of the large model alone over time of the relay, for the same tokens.

    With P prompt tokens, n written and r read tokens, t and p the costs of writing and reading::

        (P p_L + N t_L) / (P (p_L + p_S) + n_L t_L + n_S t_S + r_S p_S + r_L p_L)
    """
    total = reading.large_written + reading.small_written
    alone = reading.prompt * large.read + total * large.write
    prompt_reads = large.read + (small.read if reading.small_written else 0.0)
    relay = (
        reading.prompt * prompt_reads
        + reading.large_written * large.write
        + reading.small_written * small.write
        + reading.small_reads * small.read
        + reading.large_reads * large.read
    )
    return alone / relay
