"""What ``relaygen profile`` does, from options to files."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import fields, replace
from typing import Any

import typer

from relaygen import __version__
from relaygen.api.pairing import Match
from relaygen.cli.files import check_writable, write_whole
from relaygen.cli.profile_inputs import check_extra, given_cues, questions_of, sources_of
from relaygen.cli.profile_options import DataOptions, ModelOptions, OutputOptions, RuleOptions
from relaygen.cli.profile_progress import progress_shown
from relaygen.cli.profile_tables import verdict_lines
from relaygen.cli.terminal import say
from relaygen.datasets import QuestionFile
from relaygen.errors import ProfilingError, UnsupportedError
from relaygen.profiling.analysis import Analysis, AnalysisOptions, analyse
from relaygen.profiling.collecting import CollectOptions, collect
from relaygen.profiling.enough import counted, shortages
from relaygen.profiling.models import OpenPair, Source, fitting_pair, open_pair
from relaygen.profiling.profile import describe
from relaygen.profiling.profile import make_profile as build
from relaygen.profiling.selection import (
    Rule,
    RuleName,
    Verdict,
    beyond_chance,
    check_target,
    forced,
    select,
    select_for,
    taken,
)
from relaygen.profiling.store import TrajectoryStore, lock_folder, made_with
from relaygen.profiling.trajectories import Trajectories
from relaygen.relay.provenance import Provenance
from relaygen.types import Sampling


def make_profile(
    models: ModelOptions, data: DataOptions, rule: RuleOptions, output: OutputOptions
) -> None:
    """Runs the whole of it.

    Raises:
        RelayGenError: something is wrong with what was given, or too little came of it.
    """
    check_extra(report=not output.no_report)
    check_writable(output.output)
    if rule.target_utilisation is not None:
        check_target(rule.target_utilisation)
    sources = sources_of(models)
    embedded = models.large is None
    questions = questions_of(data, embedded=embedded)
    wanted = Rule(
        name=RuleName(rule.rule),
        fdr=rule.fdr,
        min_count=rule.min_count,
        min_questions=rule.min_questions,
        min_effect=rule.min_effect,
        min_agreement=rule.min_agreement,
    )
    options = AnalysisOptions(
        given=given_cues(rule),
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
    if analysis.statistics:
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
        f"wrote {output.output}: {counted(len(profile.cues), 'cue')}; expected utilisation "
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
        fitting = await fitting_pair(large, small)
        # Before the models, whose loading takes minutes: what will not do is told at once.
        with closing(lock_folder(self._folder)) as lock:
            made_with(self._folder, self._known(fitting.match), partly=True)
            async with open_pair(fitting) as pair:
                sampling = replace(pair.large.sampling, **given)
                questions = self._questions.questions[: data.limit]
                options = CollectOptions(
                    samples=data.samples,
                    seed=data.seed,
                    max_tokens=data.max_tokens,
                    at_once=data.at_once,
                    sampling=sampling,
                    score_written=data.margins == "scored",
                )
                with (
                    TrajectoryStore(self._folder, self._about(pair, sampling), lock=lock) as store,
                    progress_shown(quiet=self._output.quiet) as told,
                ):
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
                    except UnsupportedError as error:
                        if data.margins != "written":
                            raise
                        raise UnsupportedError(f"{error}; or use --margins scored") from error
                    found = store.load()
                return _only(found, {q.id for q in questions}, data.samples), pair, sampling

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
        return self._known(pair.match) | {
            "large": pair.large.name,
            "small": pair.small.name,
            "sampling": sampling_figures(sampling),
        }

    def _known(self, matched: Match) -> dict[str, Any]:
        """What trajectories are made with, as far as it is known before the models are loaded."""
        return {
            "tokenizer": matched.fingerprint,
            "questions": self._questions.sha256,
            "seed": self._data.seed,
            "max_tokens": self._data.max_tokens,
            "margins": self._data.margins,
        }


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
    if not analysis.statistics:
        raise ProfilingError(
            f"nothing opens {rule.min_count} sentences of {rule.min_questions} questions: no "
            "profile is written. Take more questions, or lower --min-count and --min-questions"
        )
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
    if not numbers:
        chosen = forced(analysis, rule)
    if not taken(chosen):
        raise ProfilingError(
            "no candidate even looks better than the rest: there is nothing that --force could write"
        )
    say(f"warning: {told}; the profile is written because of --force")
    return chosen
