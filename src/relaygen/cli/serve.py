"""``relaygen serve``: the OpenAI-compatible gateway."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relaygen.cli.terminal import say
from relaygen.errors import InvalidRequestError

if TYPE_CHECKING:
    from relaygen.settings import Settings


def serve(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML or YAML; `relaygen config example` prints one."),
    ] = None,
    large: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL|PATH",
            help="A server of the large model (repeatable), a GGUF file, or a model's folder.",
        ),
    ] = None,
    small: Annotated[
        list[str] | None,
        typer.Option(metavar="URL|PATH", help="Likewise for the small model."),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Folder or GGUF with the served models' tokenizer."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The cue profile.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model name that clients ask for.")
    ] = None,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where to listen.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="The port; 0 takes a free one. [8080]")
    ] = None,
    log: Annotated[
        str | None, typer.Option(metavar="text|json", help="The form of the log, on stderr.")
    ] = None,
) -> None:
    """Serve a pair behind OpenAI's API.

    What is given here wins over RELAYGEN_... in the environment, which wins over the file.
    With no models at all it serves the embedded pair.
    """
    from relaygen.settings import load, names_a_model

    flags = _flags(large, small, tokenizer, profile, name, host, port, log)
    if config is None and not names_a_model():
        flags = _whole_pair(flags)
    settings = load(config, flags)
    _run(settings)


def _flags(
    large: list[str] | None,
    small: list[str] | None,
    tokenizer: Path | None,
    profile: str | None,
    name: str | None,
    host: str | None,
    port: int | None,
    log: str | None,
) -> dict[str, Any]:
    given: dict[str, dict[str, Any]] = {
        "large": _pool("large", large),
        "small": _pool("small", small),
        "relay": {"tokenizer": tokenizer, "profile": profile, "name": name},
        "server": {"host": host, "port": port, "log": log},
    }
    parts = {
        part: {key: value for key, value in values.items() if value is not None}
        for part, values in given.items()
    }
    return {part: values for part, values in parts.items() if values}


def _pool(role: str, given: list[str] | None) -> dict[str, Any]:
    if not given:
        return {}
    served = [entry.startswith(("http://", "https://")) for entry in given]
    if all(served):
        return {"replicas": given}
    if len(given) > 1:
        raise InvalidRequestError(
            f"--{role} is given {len(given)} times: give addresses of servers (http://...), or "
            "one file or folder",
            param=role,
        )
    return {"gguf": given[0]}


def _whole_pair(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags where they alone name models: both, or none for the embedded pair."""
    missing = [role for role in ("large", "small") if role not in flags]
    if len(missing) == 1:
        raise InvalidRequestError(
            f"--{missing[0]} is missing: a relay needs two models; give both, or none for the "
            "embedded pair",
            param=missing[0],
        )
    if not missing:
        return flags
    say("no models are given: this serves the embedded pair, which knows arithmetic stories")
    return _embedded(flags)


def _embedded(flags: dict[str, Any]) -> dict[str, Any]:
    from relaygen import demo_models

    relay = {"profile": "demo", "name": "relaygen-demo"} | flags.get("relay", {})
    models = {role: {"gguf": str(demo_models.gguf(role))} for role in ("large", "small")}
    return flags | models | {"relay": relay}


def _run(settings: Settings) -> None:
    import uvloop

    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from relaygen.gateway import create_app
    from relaygen.gateway.assembly import open_service
    from relaygen.gateway.garbage import settle
    from relaygen.gateway.listening import bind, listen
    from relaygen.gateway.logs import log_to
    from relaygen.gateway.tracing import open_tracing

    log_to(sys.stderr, text=settings.server.log == "text")
    endpoint = settings.server.otel_endpoint
    tracing = None if endpoint is None else open_tracing(endpoint)
    listener = bind(settings.server.host, settings.server.port)
    with listener:
        async with open_service(settings) as service:
            app = create_app(service, settings.server, settings.keys, tracing=tracing)
            server = listen(app, listener, told=say)
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            say(f"serving {service.name} on http://{shown}:{port}")
            if settings.relay.wants_cues:
                say("no cue profile is set: each request has to bring its own; --profile sets one")
            if not settings.keys and host not in ("127.0.0.1", "::1"):
                say("no API keys are set: anybody who reaches this address may call")
            settle()
            await server.serve(sockets=[listener])
