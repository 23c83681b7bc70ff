"""The fields that ``/v1/chat/completions`` and ``/v1/completions`` share.

An optional field that is ``null`` counts as left out, as with OpenAI.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """OpenAI's ``stream_options``."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class CueSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A cue in a request; see `relaygen.SwitchCue`."""

    text: str
    position: Literal["sentence", "anywhere"] = "sentence"
    confirm_tokens: int = 0


class RelayFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The extension field ``relaygen``: how the two models share the work.

    Beside these, every field of `relaygen.RelayConfig` is taken. ``trace`` says of every chunk who
    wrote it, and brings the whole trace at the end; ``margins`` puts each token's into it.
    """

    policy: str | None = None
    profile: str | None = None
    cues: list[str | CueSpec] | None = None
    handoff_share: float | None = None
    trace: bool | None = None
    margins: bool | None = None
    max_small_tokens: int | None = None
    min_small_tokens: int | None = None
    max_small_run: int | None = None
    min_reasoning_tokens: int | None = None
    small_may_end_reasoning: bool | None = None
    force_answer: bool | None = None
    answer_role: Literal["large", "small"] | None = None
    mute_tokens: int | None = None
    read_ahead: int | None = None
    stop_hints: bool | None = None


class CommonRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What both kinds of request may say."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[int, float] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    return_token_ids: bool | None = None
    relaygen: RelayFields | None = None
