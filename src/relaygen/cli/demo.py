"""``relaygen demo``: watch the embedded pair relay, then compare it with each model alone."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from relaygen.cli.terminal import RoleWriter, legend, marks_for

if TYPE_CHECKING:
    from relaygen.api import SyncRelay
    from relaygen.cli.demo_trials import Total, Trial
    from relaygen.demo_models import DemoProblem

MOST_PROBLEMS = 100


def demo(
    problems: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_PROBLEMS, help="How many problems.")
    ] = 3,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Picks the problems, and seeds the models.")
    ] = 0,
) -> None:
    """Watch a relay, and compare it with each model.

    The embedded pair solves arithmetic stories, offline, in less than a minute.
    """
    from relaygen import demo_models
    from relaygen.cli.demo_trials import measure, warm_up
    from relaygen.cli.options import PairOptions
    from relaygen.cli.pair import find_pair, open_pair
    from relaygen.profiles import load

    chosen = random.Random(seed).sample(demo_models.problems(), problems)
    pair = PairOptions()
    marks = marks_for(sys.stdout, always=True)
    with open_pair(find_pair(pair), pair, load("demo")) as relay:
        warm_up(relay, chosen[0])
        typer.echo(legend(marks))
        trials: list[Trial] = []
        for number, problem in enumerate(chosen):
            typer.echo(f"\n[{number + 1}/{problems}] {problem.question}\n")
            _stream(relay, problem, seed + number, RoleWriter(sys.stdout, marks))
            own = measure(relay, problem, seed=seed + number, turn=number)
            typer.echo(f"\n    expected {problem.answer}: " + ", ".join(map(_verdict, own)))
            trials += own
    _compare(trials, problems)
    typer.echo(_NEXT)


_NEXT = """
What to try next:
  relaygen run "Mia has 347 apples. On Monday, she buys 58 more apples at the market. How many apples does Mia have now?"
  relaygen run --json --margins "..." | less        who wrote what, when, and how sure it was
  relaygen run --large L.gguf --small S.gguf --cues qwen3 "..."        two real models
  relaygen chat            several turns
  relaygen doctor          what works on this machine"""


def _stream(relay: SyncRelay, problem: DemoProblem, seed: int, writer: RoleWriter) -> None:
    from relaygen.api import Options
    from relaygen.cli.generating import generate

    outcome = generate(relay, problem.question, Options(seed=seed), writer.write)
    writer.end()
    if outcome.interrupted:
        raise KeyboardInterrupt


def _verdict(trial: Trial) -> str:
    said = "" if trial.right else f" ({trial.said or 'no answer'})"
    return f"{trial.policy} {'right' if trial.right else 'wrong'}{said}"


def _compare(trials: list[Trial], problems: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from relaygen.cli.demo_trials import POLICIES, Total

    totals = {policy: Total.of(trials, policy) for policy in POLICIES}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("who writes", no_wrap=True)
    for heading in ("time", "tokens", "tokens/s", "by the large", "handoffs", "right"):
        table.add_column(heading, justify="right")
    names = {"large": "large alone", "small": "small alone", "relay": "relay"}
    for policy, total in totals.items():
        table.add_row(
            names[policy],
            f"{total.seconds:.2f} s",
            f"{total.tokens:,}",
            f"{total.rate:,.0f}",
            f"{total.utilisation:.0%}",
            f"{total.handoffs}",
            f"{total.right} of {problems}",
        )
    console = Console(file=sys.stdout, highlight=False, markup=False)
    console.print()
    console.print(table)
    typer.echo(_in_words(totals["large"], totals["relay"], problems))


def _in_words(large: Total, relay: Total, problems: int) -> str:
    said = (
        f"Measured here, now, on {problems} problem{'s' if problems > 1 else ''}: each way with "
        "the same prompts and seeds, in turns, while nothing is drawn."
    )
    if relay.seconds and relay.tokens and large.tokens:
        said += (
            f"\nThe relay took {relay.seconds / large.seconds:.0%} of the time of the large model "
            f"alone, and wrote {relay.tokens / large.tokens:.0%} as many tokens."
        )
    return said + "\nSo few problems say little about accuracy; the model card has figures for 500."
