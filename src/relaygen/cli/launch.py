"""``relaygen launch``: two model servers and the gateway on this machine."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relaygen.cli.terminal import in_colour, say
from relaygen.errors import InvalidRequestError, ModelLoadError
from relaygen.launch.options import Draft, DraftMethod, Engine, LaunchOptions

if TYPE_CHECKING:
    from relaygen.launch.model_files import ModelFiles
    from relaygen.launch.plan import LaunchPlan

_COLOURS = {"large": "\x1b[36m", "small": "\x1b[33m", "gateway": "\x1b[32m", "launch": "\x1b[1m"}
_PLAIN = "\x1b[0m"
_WIDTH = max(map(len, _COLOURS))


def launch(
    flags: Annotated[
        list[str] | None, typer.Argument(help="After --: more flags for both servers.")
    ] = None,
    large: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="A GGUF file or a model's folder; else the embedded pair."
        ),
    ] = None,
    small: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The small model, of the same family.")
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            metavar="|".join(Engine),
            help="The servers: llama.cpp for GGUF files, vllm for folders.",
        ),
    ] = Engine.AUTO,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="A packaged cue profile, or the file of one."),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where the gateway listens.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Its port; 0 takes a free one.")
    ] = 8080,
    context_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", min=16, help="Tokens of one generation, prompt included."),
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Generations at once that the servers have room for."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="CPU threads of each server.")
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Leave GPUs alone.")] = False,
    gpu_layers: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="llama.cpp: layers of each model on a GPU."),
    ] = None,
    tensor_parallel: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="vLLM, SGLang: GPUs that share the large model."),
    ] = 1,
    dtype: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="vLLM, SGLang: of weights, such as bfloat16."),
    ] = None,
    large_draft: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A draft model: speculative decoding of the large one."),
    ] = None,
    large_draft_method: Annotated[
        DraftMethod | None,
        typer.Option(metavar="|".join(DraftMethod), help="How it drafts; ngram needs no model."),
    ] = None,
    large_draft_tokens: Annotated[
        int, typer.Option(metavar="N", min=1, help="Tokens drafted at a time.")
    ] = 3,
    large_flag: Annotated[
        list[str] | None,
        typer.Option(metavar="FLAGS", help="More flags for the large server; may be repeated."),
    ] = None,
    small_flag: Annotated[
        list[str] | None, typer.Option(metavar="FLAGS", help="Likewise for the small one.")
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="A Python that has vLLM or SGLang; else this one."),
    ] = None,
    ready_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="A server must answer within so long.")
    ] = 600.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print commands and configuration, start nothing.")
    ] = False,
) -> None:
    """Start both model servers and the gateway.

    Without --large and --small the embedded pair is served. Ctrl-C ends everything.
    """
    from relaygen.launch.keeper import Timing
    from relaygen.launch.model_files import read_model
    from relaygen.launch.ports import check_free, free_ports
    from relaygen.launch.running import as_script, run_plan

    if sys.platform == "win32":
        raise InvalidRequestError("launch runs on Linux and macOS; on Windows, use it in WSL")
    paths, shipped = _pair(large, small, engine)
    models = [read_model(path) for path in paths]
    both = _flags(flags or [], "flags")  # the shell has split them already
    options = LaunchOptions(
        large=paths[0],
        small=paths[1],
        engine=engine,
        tokenizer=_tokenizer() if shipped else None,
        profile=_profile(profile, shipped=shipped),
        host=host,
        port=port or free_ports(1)[0],
        context_tokens=context_tokens,
        slots=slots,
        threads=threads,
        gpu_layers=gpu_layers,
        tensor_parallel=tensor_parallel,
        dtype=dtype,
        draft=_draft(large_draft, large_draft_method, large_draft_tokens),
        large_flags=(*both, *_words(large_flag or [], "large_flag")),
        small_flags=(*both, *_words(small_flag or [], "small_flag")),
    )
    plan = _plan(options, models, use_gpus=not cpu, server_python=python)
    for warning in plan.warnings:
        say(f"warning: {warning}")
    if dry_run:
        typer.echo(as_script(plan), nl=False)
        return
    check_free(options.host, options.port)
    for note in plan.notes:
        say(note)
    asyncio.run(run_plan(plan, timing=Timing(ready_s=ready_timeout), show=_shower()))


def _plan(
    options: LaunchOptions,
    models: Sequence[ModelFiles],
    *,
    use_gpus: bool,
    server_python: str | None,
) -> LaunchPlan:
    from relaygen.launch.machine import check_installed, this_machine
    from relaygen.launch.model_files import read_model
    from relaygen.launch.plan import make_plan
    from relaygen.launch.refusals import choose_engine

    large, small = models
    draft = read_model(options.draft.path) if options.draft and options.draft.path else None
    machine = this_machine(os.environ, use_gpus=use_gpus, server_python=server_python)
    plan = make_plan(options, large=large, small=small, draft=draft, machine=machine)
    check_installed(choose_engine(options.engine, large, small), machine.server_python)
    return plan


def _pair(large: Path | None, small: Path | None, engine: Engine) -> tuple[tuple[Path, Path], bool]:
    """The two models, and whether they are the embedded pair."""
    from relaygen import demo_models

    if large is not None and small is not None:
        return (large, small), False
    if large is not None or small is not None:
        given, missing = ("large", "small") if small is None else ("small", "large")
        raise InvalidRequestError(
            f"--{given} is given without --{missing}: a relay needs two models; give both, or "
            "none for the embedded pair",
            param=missing,
        )
    find = demo_models.gguf if engine in (Engine.AUTO, Engine.LLAMA_CPP) else demo_models.hf_folder
    try:
        return (find("large"), find("small")), True
    except FileNotFoundError as error:
        raise ModelLoadError(str(error)) from error


def _tokenizer() -> Path:
    from relaygen import demo_models

    return demo_models.hf_folder("large")


def _profile(given: str | None, *, shipped: bool) -> str:
    """The profile's name, or its file as an absolute path; checked."""
    from relaygen import profiles

    name = given or ("demo" if shipped else None)
    if name is None:
        raise InvalidRequestError(
            f"a relay needs cues: name a profile with --profile ({', '.join(profiles.available())}, "
            "or a file)",
            param="profile",
        )
    profiles.load(name)
    return name if name in profiles.available() else str(Path(name).absolute())


def _draft(path: Path | None, method: DraftMethod | None, tokens: int) -> Draft | None:
    if path is None and method is None:
        return None
    if method is None:
        raise InvalidRequestError(
            "--large-draft is given without --large-draft-method; give eagle3 or draft_model",
            param="large_draft_method",
        )
    whole = path.expanduser().absolute() if path else None
    return Draft(method=method, path=whole, tokens=tokens)


def _words(given: Sequence[str], param: str) -> tuple[str, ...]:
    """Flags as separate words: each may be written with its value in one string."""
    try:
        words = [word for text in given for word in shlex.split(text)]
    except ValueError as error:
        raise InvalidRequestError(
            f"{' '.join(given)!r:.80} cannot be split into words ({error}); check the quotes",
            param=param,
        ) from None
    return _flags(words, param)


def _flags(words: Sequence[str], param: str) -> tuple[str, ...]:
    if words and not words[0].startswith("-"):
        raise InvalidRequestError(
            f"{words[0]!r:.80} is not a flag; models are given with --large and --small, and flags "
            "of the servers begin with a dash",
            param=param,
        )
    return tuple(words)


def _shower() -> Callable[[str, str], None]:
    """Writes lines to stderr, each with the name of its process in front."""
    coloured = in_colour(sys.stderr)

    def show(name: str, line: str) -> None:
        lead = f"{name:<{_WIDTH}} |"
        if coloured:
            lead = f"{_COLOURS.get(name, '')}{lead}{_PLAIN}"
        sys.stderr.write(f"{lead} {line}\n")
        sys.stderr.flush()

    return show
