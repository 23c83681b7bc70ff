"""What ``relaygen profile`` does, from options to files."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import typer

from relaygen import __version__, demo_models, profiles
from relaygen.cli.files import check_writable, write_whole
from relaygen.cli.profile_options import DataOptions, ModelOptions, OutputOptions, RuleOptions
from relaygen.cli.profile_tables import verdict_lines
from relaygen.cli.terminal import say
from relaygen.datasets import QuestionFile, check_apart, read_questions
from relaygen.errors import InvalidRequestError, MissingExtraError, ProfilingError
from relaygen.profiling.analysis import Analysis, AnalysisOptions, analyse
from relaygen.profiling.collecting import CollectOptions, Progress, collect
from relaygen.profiling.enough import shortages
from relaygen.profiling.models import OpenPair, Source, open_pair
from relaygen.profiling.profile import describe
from relaygen.profiling.profile import make_profile as build
from relaygen.profiling.selection import (
    Rule,
    RuleName,
    Verdict,
    beyond_chance,
    forced,
    select,
    select_for,
    taken,
)
from relaygen.profiling.store import TrajectoryStore
from relaygen.profiling.trajectories import Trajectories
from relaygen.relay.cues import SwitchCue
from relaygen.relay.provenance import Provenance
from relaygen.types import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable


def make_profile(
    models: ModelOptions, data: DataOptions, rule: RuleOptions, output: OutputOptions
) -> None:
    """Runs the whole of it.

    Raises:
        RelayGenError: something is wrong with what was given, or too little came of it.
    """
    _check_extra(report=not output.no_report)
    check_writable(output.output)
    sources = _sources(models)
    embedded = models.large is None
    questions = _questions(data, embedded=embedded)
    wanted = Rule(
        name=RuleName(rule.rule),
        fdr=rule.fdr,
        min_count=rule.min_count,
        min_questions=rule.min_questions,
        min_effect=rule.min_effect,
        min_agreement=rule.min_agreement,
    )
    options = AnalysisOptions(
        given=_given(rule),
        discover=not rule.no_discovery,
        min_count=rule.min_count,
        min_questions=rule.min_questions,
        seed=data.seed,
    )
    work = _Work(data=data, output=output, questions=questions)
    trajectories, pair, sampling = asyncio.run(work.collect(*sources))
    analysis = analyse(trajectories, pair.large.tokenizer, options)
    target = rule.target_utilisation
    chosen = select(analysis, wanted) if target is None else select_for(analysis, wanted, target)
    paper = select(analysis, Rule(name=RuleName.PAPER))
    main = str(wanted.name) if target is None else "target"
    other = {"paper": paper} if main != "paper" else {"tested": select(analysis, Rule())}
    typer.echo("\n".join(verdict_lines(analysis, {main: chosen, **other}, main)))
    if not output.quiet:
        _tell(analysis, chosen, wanted)
    provenance = Provenance(
        tool_version=__version__,
        data=questions.path.name,
        data_sha256=questions.sha256,
        questions=len(trajectories.questions),
        trajectories=len(trajectories.records),
        tokens=trajectories.tokens,
        seed=data.seed,
        sampling=sampling_figures(sampling),
        rule=describe(wanted, target),
        utilisation=1.0,
    )
    if not output.no_report:
        work.report(analysis, {main: chosen, **other}, main, pair)
    chosen = _guarded(analysis, chosen, wanted, force=output.force)
    profile = build(
        analysis,
        chosen,
        name=output.name or output.output.stem,
        large_model=pair.large.name,
        small_model=pair.small.name,
        fingerprint=pair.match.fingerprint,
        provenance=provenance,
        notes=output.notes,
    )
    write_whole(output.output, profile.to_json())
    made = profile.provenance
    assert made is not None
    agreement = "" if made.agreement is None else f", agreement {made.agreement:.1%}"
    say(
        f"wrote {output.output}: {len(profile.cues)} cues; expected utilisation "
        f"{made.utilisation:.1%}{agreement}"
    )


def sampling_figures(sampling: Sampling) -> dict[str, float]:
    """The parameters that differ from plain sampling."""
    plain = Sampling()
    return {
        f.name: getattr(sampling, f.name)
        for f in fields(sampling)
        if isinstance(getattr(sampling, f.name), int | float)
        and getattr(sampling, f.name) != getattr(plain, f.name)
    }


class _Work:
    def __init__(
        self, *, data: DataOptions, output: OutputOptions, questions: QuestionFile
    ) -> None:
        self._data, self._output, self._questions = data, output, questions
        stem = output.output.with_suffix("")
        self._folder = output.trajectories or stem.with_name(f"{stem.name}-trajectories")
        self._plots = stem.with_name(f"{stem.name}-plots")

    async def collect(
        self, large: Source, small: Source
    ) -> tuple[Trajectories, OpenPair, Sampling]:
        data = self._data
        given = {
            n: v for n in ("temperature", "top_k", "top_p") if (v := getattr(data, n)) is not None
        }
        async with open_pair(large, small) as pair:
            sampling = replace(pair.large.sampling, **given)
            store = TrajectoryStore(self._folder, self._about(pair, sampling))
            questions = self._questions.questions[: data.limit]
            options = CollectOptions(
                samples=data.samples,
                seed=data.seed,
                max_tokens=data.max_tokens,
                at_once=data.at_once,
                sampling=sampling,
                score_written=data.margins == "scored",
            )
            with _bar(quiet=self._output.quiet) as told:
                try:
                    await collect(
                        pair.large.engine,
                        pair.small.engine,
                        pair.match.encoder,
                        questions,
                        store,
                        options,
                        told=told,
                    )
                except asyncio.CancelledError:
                    say(
                        f"kept: {len(store.records)} whole trajectories, and what was begun; the "
                        "same command goes on"
                    )
                    raise
            return _only(store.load(), {q.id for q in questions}, data.samples), pair, sampling

    def report(
        self,
        analysis: Analysis,
        chosen: dict[str, list[Verdict]],
        main: str,
        pair: OpenPair,
    ) -> None:
        from relaygen.profiling.report import write_report

        page = self._output.output.with_suffix(".html")
        write_report(
            page,
            self._plots,
            analysis,
            chosen,
            main,
            title=f"{pair.large.name} and {pair.small.name}",
        )
        if not self._output.quiet:
            say(f"wrote {page} and {self._plots}")

    def _about(self, pair: OpenPair, sampling: Sampling) -> dict[str, Any]:
        return {
            "large": pair.large.name,
            "small": pair.small.name,
            "tokenizer": pair.match.fingerprint,
            "questions": self._questions.sha256,
            "sampling": sampling_figures(sampling),
            "seed": self._data.seed,
            "max_tokens": self._data.max_tokens,
            "margins": self._data.margins,
        }


def _check_extra(*, report: bool) -> None:
    for package in ("scipy", *(("matplotlib",) if report else ())):
        if find_spec(package) is None:
            raise MissingExtraError(
                f"profiling needs {package}: pip install 'relaygen[profile]'"
                + (" (or leave the report out: --no-report)" if package == "matplotlib" else "")
            )


def _sources(models: ModelOptions) -> tuple[Source, Source]:
    if (models.large is None) != (models.small is None):
        missing = "small" if models.small is None else "large"
        raise InvalidRequestError(
            f"--{missing} is missing: a profile is of two models; give both, or none for the "
            "embedded pair",
            param=missing,
        )
    places = [models.large, models.small]
    names = [models.large_name, models.small_name]
    if models.large is None:
        places = [str(demo_models.gguf("large")), str(demo_models.gguf("small"))]
        names = [names[0] or "relaygen-demo-large", names[1] or "relaygen-demo-small"]
    large, small = (
        Source(
            place=str(place),
            name=name,
            tokenizer=models.tokenizer,
            context_tokens=models.context_tokens,
            threads=models.threads,
            gpu_layers=models.gpu_layers,
        )
        for place, name in zip(places, names, strict=True)
    )
    return large, small


def _questions(data: DataOptions, *, embedded: bool) -> QuestionFile:
    if data.margins not in ("scored", "written"):
        raise InvalidRequestError(
            f"--margins is {data.margins!r:.40}; it must be 'scored' or 'written'", param="margins"
        )
    if data.questions is None and not embedded:
        raise InvalidRequestError(
            "--questions is missing: give a file with calibration questions, one JSON object a line",
            param="questions",
        )
    found = read_questions(data.questions or demo_models.calibration())
    for file in data.evaluation:
        check_apart(found.questions, read_questions(file).questions, str(file))
    return found


def _given(rule: RuleOptions) -> tuple[SwitchCue, ...]:
    cues = list(profiles.load(rule.cues).cues) if rule.cues else []
    cues += [SwitchCue(text=text) for text in rule.cue]
    if rule.no_discovery and not cues:
        raise InvalidRequestError(
            "--no-discovery leaves no candidates: give some with --cues or --cue", param="cue"
        )
    return tuple({cue.text: cue for cue in reversed(cues)}.values())[::-1]


def _only(found: Trajectories, questions: set[str], samples: int) -> Trajectories:
    """Without those of an earlier, larger run."""
    wanted = [r.question in questions and r.sample < samples for r in found.records]
    return found if all(wanted) else found.only(wanted)


def _tell(analysis: Analysis, chosen: list[Verdict], rule: Rule) -> None:
    for cue in analysis.absent:
        say(f"the cue {cue.text!r} never occurs")
    if analysis.agrees is None:
        say("the small model's engine scores no prompts: cues are judged by the margin alone")
    for warning in shortages(analysis, chosen, rule):
        say(f"warning: {warning}")


def _guarded(
    analysis: Analysis, chosen: list[Verdict], rule: Rule, *, force: bool
) -> list[Verdict]:
    numbers = taken(chosen)
    if any(beyond_chance(analysis.statistics[number], rule) for number in numbers):
        return chosen
    told = (
        "no cue that was taken is better than the rest beyond chance"
        if numbers
        else "no candidate is better than the rest beyond chance"
    )
    if not force:
        raise ProfilingError(
            f"{told}: no profile is written. More questions may help (see the warnings); --force "
            "writes one all the same"
        )
    say(f"warning: {told}; the profile is written because of --force")
    return chosen if numbers else forced(analysis, rule)


def _bar(*, quiet: bool) -> AbstractContextManager[Callable[[Progress], None]]:
    if quiet:
        return nullcontext(lambda _: None)
    if not sys.stderr.isatty():
        return nullcontext(_Lines())
    return _Bar()


class _Lines:
    """A line at the start and at the end, for who reads a log."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, progress: Progress) -> None:
        at_an_end = progress.done == progress.total or not self._told
        line = f"{progress.done} of {progress.total} trajectories"
        if at_an_end and line != self._told:
            self._told = line
            say(line)


class _Bar:
    """A bar with an estimate of the time that is left."""

    def __enter__(self) -> Callable[[Progress], None]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as Bar,
        )

        self._bar = Bar(
            TextColumn("trajectories"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[tokens]:,} tokens"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=None, tokens=0)
        self._bar.start()
        return self._show

    def _show(self, progress: Progress) -> None:
        self._bar.update(
            self._task, completed=progress.done, total=progress.total, tokens=progress.tokens
        )

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
