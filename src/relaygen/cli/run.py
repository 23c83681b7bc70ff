"""``relaygen run``: one question, one answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relaygen.cli.options import PairOptions, WritingOptions, grouped
from relaygen.cli.terminal import RoleWriter, marks_for, say
from relaygen.errors import EngineError, InvalidRequestError

if TYPE_CHECKING:
    from relaygen.relay.events import Emitted
    from relaygen.runner import Result


@grouped
def run(
    pair: PairOptions,
    writing: WritingOptions,
    question: Annotated[
        str | None, typer.Argument(help="Read from stdin if it is left out, or '-'.")
    ] = None,
    answer: Annotated[
        bool, typer.Option("--answer", help="Print the answer only, without the reasoning.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with text, usage and trace.")
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write that object to a file, with all that repeats it."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Draw it as a page in one file, with margins."),
    ] = None,
    margins: Annotated[
        bool, typer.Option("--margins", help="Record p(top-1) - p(top-2) for every token.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No remarks on stderr, errors excepted.")
    ] = False,
) -> None:
    """Answer a question. Tokens go to stdout, everything else to stderr.

    Without --large and --small the embedded pair answers, which knows arithmetic stories only.
    """
    from relaygen.cli.files import check_writable, write_whole
    from relaygen.cli.generating import (
        EMBEDDED_NOTICE,
        check_thinking_switch,
        generate,
        notice_one_stage,
        summary,
    )
    from relaygen.cli.pair import (
        check_writing,
        find_pair,
        generation_options,
        open_pair,
        with_system,
    )
    from relaygen.cli.scope import looks_like_a_story
    from relaygen.cli.trace_file import trace_object
    from relaygen.views.html import trace_page
    from relaygen.views.result_json import result_object, to_json

    paths = find_pair(pair)
    checked = check_writing(writing, embedded=paths.embedded)
    text = _question(question)
    for file in (trace, page):
        if file is not None:
            check_writable(file)
    with open_pair(paths, pair, checked.profile) as relay:
        options = generation_options(relay, checked, margins=margins or page is not None)
        check_thinking_switch(relay, options)
        if not quiet:
            notice_one_stage(relay)
            if paths.embedded and not looks_like_a_story(text):
                say(EMBEDDED_NOTICE)
        messages = with_system(checked.system, [{"role": "user", "content": text}])
        writer = RoleWriter(sys.stdout, marks_for(sys.stdout))
        outcome = generate(relay, messages, options, None if as_json else _show(writer, answer))
        result = outcome.result
        if not as_json:
            writer.end()
        elif result is not None:
            typer.echo(to_json(result_object(result)))
        if result is not None and (trace or page):
            record = trace_object(
                result,
                relay=relay,
                paths=paths,
                pair=pair,
                writing=checked,
                options=options,
                messages=messages,
            )
            if trace is not None:
                write_whole(trace, to_json(record, indent=1) + "\n")
            if page is not None:
                write_whole(page, trace_page([record]))
    if outcome.interrupted or result is None:
        raise KeyboardInterrupt
    if not quiet:
        say(summary(result, checked.seed))
    _raise_if_failed(result)


def _question(given: str | None) -> str:
    if given is None and sys.stdin.isatty():
        raise InvalidRequestError(
            "there is no question: give one as an argument, or pipe it in", param="question"
        )
    text = sys.stdin.read() if given in (None, "-") else given
    if text is None or not text.strip():
        raise InvalidRequestError("the question is empty: ask something", param="question")
    return text.strip() if given in (None, "-") else text


def _show(writer: RoleWriter, answer_only: bool) -> Callable[[Emitted], None]:
    from relaygen.types import Stage

    if not answer_only:
        return writer.write

    def show(part: Emitted) -> None:
        if part.stage is Stage.ANSWER and not part.is_tag:
            writer.write(part)

    return show


def _raise_if_failed(result: Result) -> None:
    from relaygen.types import FinishReason

    if result.finish_reason is FinishReason.ERROR:
        raise EngineError(f"the generation broke off: {result.error or 'the large model failed'}")
