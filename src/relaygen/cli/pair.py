"""From options to an open pair of models and the options of a generation."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from relaygen import demo_models, profiles
from relaygen.api import Options, SyncRelay
from relaygen.cli.options import PairOptions, PolicyName, WritingOptions
from relaygen.errors import InvalidRequestError, ModelLoadError
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.profile import CueProfile
from relaygen.types import Sampling

_SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairPaths:
    """Where the two models are.

    Attributes:
        large: a GGUF file, or a folder in transformers' format.
        small: likewise.
        embedded: it is the pair that comes with RelayGen.
    """

    large: Path
    small: Path
    embedded: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Writing:
    """Checked options of a generation, before any model is loaded.

    Attributes:
        policy: by name.
        profile: None where the cues were given one by one, or none are needed.
        cues: given one by one.
        config: the relay's limits.
        sampling: what was given; the rest is each model's own default.
        seed: given, or drawn.
        max_tokens: None: what the context holds.
        stop: strings that end the answer.
        system: a system message.
        thinking: False: the chat template is asked for no reasoning.
    """

    policy: str
    profile: CueProfile | None
    cues: tuple[SwitchCue, ...] | None
    config: RelayConfig
    sampling: dict[str, Any]
    seed: int
    max_tokens: int | None
    stop: tuple[str, ...]
    system: str | None
    thinking: bool


def find_pair(pair: PairOptions) -> PairPaths:
    """The files that the options name.

    Raises:
        InvalidRequestError: one model is given without the other.
        ModelLoadError: a file is missing.
    """
    if (pair.large is None) != (pair.small is None):
        given, missing = ("large", "small") if pair.small is None else ("small", "large")
        raise InvalidRequestError(
            f"--{given} is given without --{missing}: a relay needs two models; give both, or "
            "none for the embedded pair",
            param=missing,
        )
    if pair.large is not None and pair.small is not None:
        return PairPaths(large=pair.large, small=pair.small, embedded=False)
    try:
        large, small = demo_models.gguf("large"), demo_models.gguf("small")
    except FileNotFoundError as error:
        raise ModelLoadError(str(error)) from error
    return PairPaths(large=large, small=small, embedded=True)


def check_writing(given: WritingOptions, *, embedded: bool) -> Writing:
    """Refuses what no pair of models could do, before minutes go into loading one.

    Raises:
        InvalidRequestError: an option is out of range.
        CueProfileError: there is no such profile, or a cue cannot be matched.
    """
    sampling = {n: v for n in _SAMPLING if (v := getattr(given, n)) is not None}
    seed = secrets.randbits(31) if given.seed is None else given.seed
    Sampling(**sampling, seed=seed)  # raises for values out of range
    if given.max_tokens is not None and given.max_tokens < 1:
        raise InvalidRequestError(
            f"--max-tokens is {given.max_tokens}; it must be at least 1", param="max_tokens"
        )
    if "" in given.stop:
        raise InvalidRequestError("--stop is empty; give some text", param="stop")
    if given.cue and given.cues is not None:
        raise InvalidRequestError("give --cues or --cue, not both", param="cue")
    name = given.cues or ("demo" if embedded else None)
    if name is None and not given.cue and given.policy in (PolicyName.RELAY, PolicyName.PAPER):
        raise InvalidRequestError(
            f"policy {given.policy} needs cues: name a profile with --cues "
            f"({', '.join(profiles.available())}, or a file), give some with --cue, or take another "
            "--policy",
            param="cues",
        )
    return Writing(
        policy=given.policy.value,
        profile=None if given.cue or name is None else profiles.load(name),
        cues=tuple(SwitchCue(text=text) for text in given.cue) or None,
        config=_config(given.limit, given.policy),
        sampling=sampling,
        seed=seed,
        max_tokens=given.max_tokens,
        stop=tuple(given.stop),
        system=given.system,
        thinking=not given.no_thinking,
    )


def open_pair(paths: PairPaths, pair: PairOptions, profile: CueProfile | None) -> SyncRelay:
    """Loads both models.

    Raises:
        RelayGenError: see `Relay.open`.
    """
    return SyncRelay.open(
        paths.large,
        paths.small,
        profile=profile,
        context_tokens=pair.context_tokens,
        threads=pair.threads,
        gpu_layers=pair.gpu_layers,
        sequences=1,  # a command has one generation at a time
    )


def generation_options(relay: SyncRelay, writing: Writing, **more: Any) -> Options:
    """The options of one generation: what was given, on top of each model's own defaults."""
    models = relay.relay.models
    return Options(
        policy=writing.policy,
        max_tokens=writing.max_tokens,
        sampling={r: replace(m.sampling, **writing.sampling) for r, m in models.items()},
        seed=writing.seed,
        stop=writing.stop,
        cues=writing.cues,
        config=writing.config,
        template={} if writing.thinking else {"enable_thinking": False},
        **more,
    )


def with_system(system: str | None, messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The messages, after the system message if there is one."""
    lead = [] if system is None else [{"role": "system", "content": system}]
    return [*lead, *messages]


def _config(limits: Sequence[str], policy: PolicyName) -> RelayConfig:
    base = RelayConfig().under(policy)
    known = {f.name: getattr(base, f.name) for f in fields(base)}
    settable = {n: v for n, v in known.items() if isinstance(v, int)}
    changes: dict[str, Any] = {}
    for entry in limits:
        name, equals, text = entry.partition("=")
        if not equals or name not in settable:
            raise InvalidRequestError(
                f"--set {entry!r:.80}: write NAME=VALUE, where NAME is one of "
                f"{', '.join(sorted(settable))}",
                param="set",
            )
        changes[name] = _value(name, text, is_switch=isinstance(settable[name], bool))
    return replace(base, **changes)


def _value(name: str, text: str, *, is_switch: bool) -> int | bool:
    if is_switch and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if not is_switch and text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    expected = "true or false" if is_switch else "a whole number"
    raise InvalidRequestError(f"--set {name}={text!r:.80}: it must be {expected}", param="set")
