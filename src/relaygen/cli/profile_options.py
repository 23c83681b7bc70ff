"""The options of ``relaygen profile``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class RuleChoice(StrEnum):
    """By the names of `relaygen.profiling.selection.RuleName`."""

    TESTED = "tested"
    PAPER = "paper"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOptions:
    """Which pair."""

    large: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL", help="GGUF, folder or server; without one, the embedded pair."
        ),
    ] = None
    small: Annotated[
        str | None, typer.Option(metavar="PATH|URL", help="The small model, of the same family.")
    ] = None
    tokenizer: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Folder or GGUF with the tokenizer of served models."),
    ] = None
    api_key_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Environment variable with the servers' API key."),
    ] = None
    small_api_key_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Likewise of the small one's, if it is another."),
    ] = None
    large_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the profile calls the large model.")
    ] = None
    small_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the profile calls the small model.")
    ] = None
    context_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Tokens that a model can hold.")
    ] = None
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="CPU threads of each model.")
    ] = None
    gpu_layers: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Layers of each model on a GPU.")
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DataOptions:
    """What is asked, and how the large model writes."""

    questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON lines with id, question and perhaps answer."),
    ] = None
    evaluation: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Questions that must not be among them; repeatable."),
    ] = field(default_factory=list)
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the first N questions.")
    ] = None
    samples: Annotated[
        int, typer.Option(metavar="N", min=1, help="Trajectories of each question.")
    ] = 1
    max_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Most tokens of one; by default what fits."),
    ] = None
    at_once: Annotated[
        int, typer.Option(metavar="N", min=1, help="Trajectories written at a time.")
    ] = 8
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of everything that is drawn.")] = 0
    temperature: Annotated[
        float | None, typer.Option(metavar="X", help="By default the large model's own.")
    ] = None
    top_k: Annotated[int | None, typer.Option(metavar="N", help="Likewise.")] = None
    top_p: Annotated[float | None, typer.Option(metavar="X", help="Likewise.")] = None
    margins: Annotated[
        str,
        typer.Option(
            metavar="scored|written", help="Read them off in a second pass, or while it writes."
        ),
    ] = "scored"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleOptions:
    """Which candidates there are, and which are taken."""

    rule: Annotated[
        RuleChoice, typer.Option(metavar="tested|paper", help="How cues are taken.")
    ] = RuleChoice.TESTED
    target_utilisation: Annotated[
        float | None,
        typer.Option(metavar="X", help="Take the cheapest cues for this share of the large model."),
    ] = None
    cues: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Test the cues of this profile as well."),
    ] = None
    cue: Annotated[
        list[str], typer.Option(metavar="TEXT", help="Test this cue as well; repeatable.")
    ] = field(default_factory=list)
    no_discovery: Annotated[
        bool, typer.Option("--no-discovery", help="Test the given cues only.")
    ] = False
    fdr: Annotated[
        float, typer.Option(metavar="X", help="Share of false discoveries to accept.")
    ] = 0.05
    min_count: Annotated[
        int, typer.Option(metavar="N", min=1, help="Fewest segments of a cue.")
    ] = 10
    min_questions: Annotated[
        int, typer.Option(metavar="N", min=2, help="Of so many distinct questions.")
    ] = 5
    min_effect: Annotated[
        float, typer.Option(metavar="X", help="Smallest difference of the margin to the rest.")
    ] = 0.0
    min_agreement: Annotated[
        float, typer.Option(metavar="X", help="Smallest agreement of the small model.")
    ] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputOptions:
    """What is written where."""

    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The profile.")] = (
        Path("profile.json")
    )
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the profile; by default the file's.")
    ] = None
    notes: Annotated[str, typer.Option(metavar="TEXT", help="For the readers of the profile.")] = ""
    trajectories: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Kept here, and continued; by default FILE's name + -trajectories.",
        ),
    ] = None
    no_report: Annotated[
        bool, typer.Option("--no-report", help="No HTML report, and no plots.")
    ] = False
    force: Annotated[
        bool, typer.Option("--force", help="Write a profile although no cue is beyond chance.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The tables only.")] = False
