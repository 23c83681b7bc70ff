"""Runs one generation in front of a reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from relaygen.api import Options, SyncRelay
from relaygen.chat import Message
from relaygen.cli.terminal import say
from relaygen.errors import InvalidRequestError, ProtocolError
from relaygen.relay.events import Emitted
from relaygen.runner import Result

EMBEDDED_NOTICE = (
    "the embedded pair knows nothing but short arithmetic stories, and this does not look like "
    "one: do not trust what it writes. Real models: --large L.gguf --small S.gguf --cues qwen3 "
    "(see docs/real-models.md)"
)
ONE_STAGE_NOTICE = (
    "the chat template has no reasoning tags: the text is one stage, and cues count in all of it"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a generation.

    Attributes:
        result: None where it was interrupted before it began.
        interrupted: by Ctrl-C.
    """

    result: Result | None
    interrupted: bool


def generate(
    relay: SyncRelay,
    messages: str | Sequence[Message],
    options: Options,
    show: Callable[[Emitted], None] | None = None,
) -> Outcome:
    """Runs to the end, or to Ctrl-C, which cancels it.

    Raises:
        RelayGenError: see `Relay.stream`.
    """
    stream = relay.stream(messages, options)
    interrupted = False
    try:
        with closing(stream):
            for part in stream:
                if show is not None:
                    show(part)
    except KeyboardInterrupt:
        interrupted = True
    try:
        return Outcome(result=stream.result, interrupted=interrupted)
    except ProtocolError:
        if not interrupted:
            raise
        return Outcome(result=None, interrupted=True)


def check_thinking_switch(relay: SyncRelay, options: Options) -> None:
    """Refuses to ask for no reasoning where the template would not hear it.

    Raises:
        InvalidRequestError: the chat template has no such switch.
    """
    if options.template.get("enable_thinking") is not False:
        return
    probe = "x"
    if relay.relay.prompt(probe, options).text == relay.relay.prompt(probe).text:
        raise InvalidRequestError(
            "--no-thinking: the chat template of the large model has no enable_thinking switch; "
            "leave the option out",
            param="no_thinking",
        )


def notice_one_stage(relay: SyncRelay) -> None:
    """Tells once that this pair has no reasoning stage."""
    if relay.relay.reasoning_tags is None:
        say(ONE_STAGE_NOTICE)


def summary(result: Result, seed: int) -> str:
    """One line: how much, by whom, how fast, why it ended."""
    trace, total = result.trace, result.usage.completion_tokens
    rate = total / trace.wall_s if trace.wall_s > 0 else 0.0
    parts = [
        f"{total:,} tokens, {trace.large_tokens:,} of them by the large model ({trace.utilisation:.0%})",
        f"{trace.handoffs} handoff{'' if trace.handoffs == 1 else 's'}",
        f"{trace.wall_s:.2f} s ({rate:,.0f} tokens/s)",
        f"seed {seed}",
        f"ended by: {result.finish_reason}",
    ]
    if trace.small_lost:
        parts.append("the small model failed on the way, the large one wrote on alone")
    return "; ".join(parts)
