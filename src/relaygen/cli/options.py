"""Options that several commands share, each group a dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer


class PolicyName(StrEnum):
    """The policies, by the names in `relaygen.relay.policies.POLICIES`."""

    RELAY = "relay"
    LARGE = "large"
    SMALL = "small"
    RANDOM = "random"
    PAPER = "paper"


@dataclass(frozen=True, kw_only=True, slots=True)
class PairOptions:
    """Which two models, and how they are loaded."""

    large: Annotated[
        Path | None,
        typer.Option(metavar="GGUF", help="The large model; without one, the embedded pair."),
    ] = None
    small: Annotated[
        Path | None, typer.Option(metavar="GGUF", help="The small model, of the same family.")
    ] = None
    context_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Tokens of prompt and text that a model can hold."),
    ] = None
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="CPU threads of each model.")
    ] = None
    gpu_layers: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Layers of each model on a GPU; by default all."),
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WritingOptions:
    """How one generation goes."""

    policy: Annotated[
        PolicyName, typer.Option(metavar="|".join(PolicyName), help="Who writes what.")
    ] = PolicyName.RELAY
    cues: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="A packaged cue profile, or the file of one."),
    ] = None
    cue: Annotated[
        list[str],
        typer.Option(metavar="TEXT", help="A cue that hands over; repeat it. Instead of --cues."),
    ] = field(default_factory=list)
    limit: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A limit of the relay, such as max_small_tokens=64; may be repeated.",
        ),
    ] = field(default_factory=list)
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="A system message.")] = None
    no_thinking: Annotated[
        bool, typer.Option("--no-thinking", help="Ask the chat template for no reasoning.")
    ] = False
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Makes a run repeatable; drawn, and shown, if not given."),
    ] = None
    max_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most tokens to write; by default what the context holds."),
    ] = None
    stop: Annotated[
        list[str], typer.Option(metavar="TEXT", help="Ends the answer; may be repeated.")
    ] = field(default_factory=list)
    temperature: Annotated[
        float | None, typer.Option(metavar="X", help="0 takes the likeliest token.")
    ] = None
    top_k: Annotated[
        int | None, typer.Option(metavar="N", help="Draw from the N likeliest tokens; 0: all.")
    ] = None
    top_p: Annotated[
        float | None, typer.Option(metavar="X", help="Draw from the likeliest mass X; 1: all.")
    ] = None
    min_p: Annotated[
        float | None,
        typer.Option(metavar="X", help="Leave out tokens below this share of the likeliest one."),
    ] = None
    presence_penalty: Annotated[
        float | None, typer.Option(metavar="X", help="Once for a token that was written, -2 to 2.")
    ] = None
    frequency_penalty: Annotated[
        float | None, typer.Option(metavar="X", help="For each time it was written, -2 to 2.")
    ] = None
    repetition_penalty: Annotated[
        float | None, typer.Option(metavar="X", help="Divides the logits of written tokens.")
    ] = None


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Lets a command take option groups: each field of a dataclass becomes an option."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    def call(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{f.name: given.pop(f.name) for f in fields(group)})
        command(**given)

    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _parameters(groups[name])
        else:
            parameters.append(
                parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            )
    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def _parameters(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=f.default if f.default_factory is MISSING else f.default_factory(),
            annotation=hints[f.name],
        )
        for f in fields(group)
    ]
