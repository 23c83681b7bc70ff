"""What a server is: its dialect, its model, the length of its context."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from relaygen.engines.openai_http.client import Call, Client
from relaygen.engines.openai_http.dialects import DIALECTS
from relaygen.errors import (
    EngineAccessError,
    EngineError,
    EngineUnavailableError,
    InvalidRequestError,
)

AUTO = "auto"

_OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama_server"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a server says of itself; None where it does not.

    Attributes:
        dialect: a name in `DIALECTS`.
        model: the model's name there.
        context_tokens: of one sequence.
        vocab_size: of the model.
        slots: of a llama-server.
        deterministic: whether seeds are honoured.
    """

    dialect: str
    model: str
    context_tokens: int | None = None
    vocab_size: int | None = None
    slots: int = 0
    deterministic: bool = True


class _Meta(msgspec.Struct):
    n_ctx: int | None = None
    n_vocab: int | None = None


class _Model(msgspec.Struct):
    id: str
    owned_by: str = ""
    parent: str | None = None
    max_model_len: int | None = None
    meta: _Meta | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


class _Props(msgspec.Struct):
    total_slots: int = 0


async def probe(client: Client, dialect: str = AUTO) -> Found:
    """Asks the server; one or two requests.

    Raises:
        InvalidRequestError: there is no such dialect, or no such model on the server.
        EngineUnavailableError: the server cannot be reached.
        EngineError: it speaks none of the dialects.
    """
    if dialect != AUTO and dialect not in DIALECTS:
        raise InvalidRequestError(
            f"there is no dialect {dialect!r}; there are {', '.join(DIALECTS)}, and {AUTO} asks "
            "the server",
            param="dialect",
        )
    model = _chosen(client, await _models(client))
    found = Found(
        dialect=_OWNERS.get(model.owned_by, "text") if dialect == AUTO else dialect,
        model=model.id,
        context_tokens=model.max_model_len,
    )
    if found.dialect == "llama_server":
        props = await client.json(Call("/props"), _Props)
        meta = model.meta or _Meta()
        return replace(
            found,
            context_tokens=meta.n_ctx,
            vocab_size=meta.n_vocab,
            slots=props.total_slots,
        )
    if found.dialect == "sglang":
        info = await _server_info(client)
        # The last place of its context is never written.
        context = None if found.context_tokens is None else found.context_tokens - 1
        deterministic = info.get("enable_deterministic_inference") is True
        return replace(found, context_tokens=context, deterministic=deterministic)
    return found


async def _models(client: Client) -> list[_Model]:
    try:
        return (await client.json(Call("/v1/models"), _Models)).data
    except (EngineUnavailableError, EngineAccessError):
        raise
    except (EngineError, InvalidRequestError) as error:
        raise EngineError(
            f"{client.url} speaks none of {', '.join(DIALECTS)}: {error}", retryable=True
        ) from error


def _chosen(client: Client, models: list[_Model]) -> _Model:
    """The model asked for, or the only one; adapters (with a parent) are no models of their own."""
    name = client.options.model
    names = ", ".join(repr(model.id) for model in models) or "none"
    if name is not None:
        found = [model for model in models if model.id == name]
        if not found:
            raise InvalidRequestError(
                f"{client.url} has no model {name!r}; it has {names}", param="model"
            )
        return found[0]
    bases = [model for model in models if model.parent is None]
    if len(bases) != 1:
        raise InvalidRequestError(
            f"{client.url} has several models or none ({names}); say which by its name",
            param="model",
        )
    return bases[0]


async def _server_info(client: Client) -> dict[str, Any]:
    for path in ("/server_info", "/get_server_info"):  # the older name
        try:
            return await client.json(Call(path), dict[str, Any])
        except EngineUnavailableError:
            raise
        except (EngineError, InvalidRequestError):
            continue
    return {}
