"""The description of the gateway at ``/openapi.json``, made from the types that it speaks."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

import relaygen
from relaygen.gateway.wire import about_replies, replies
from relaygen.gateway.wire.chat_request import ChatRequest
from relaygen.gateway.wire.completion_request import CompletionRequest

_JSON = "application/json"
_REFUSED = {
    400: "The request cannot be honoured; says which field, and why.",
    401: "There is no API key, or it is wrong.",
    404: "There is no such model.",
    413: "The body is too large.",
    415: "The body is not said to be JSON (content-type: application/json).",
    429: "A limit is reached; the header Retry-After says when to come back.",
    500: "Something went wrong inside the gateway.",
    502: "A model server failed.",
    503: "The gateway is shutting down, or no model server can be reached.",
}
"""Statuses of generating, each with an Error."""
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_EVENT = {
    "type": "object",
    "description": "With stream: true, server-sent events; this is one of them.",
    "required": ["data"],
    "properties": {
        "data": {
            "type": "string",
            "description": "JSON: a chunk of the answer as OpenAI's are, or an Error. At the end "
            "of a stream that ended well: [DONE].",
        }
    },
}
_TOKEN_ID = {"pattern": "^-?(0|[1-9][0-9]*)$"}
_MODEL = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}


@cache
def openapi() -> bytes:
    """The document, as JSON; made when it is first asked for."""
    kinds = (
        *(ChatRequest, replies.ChatReply, CompletionRequest, replies.CompletionReply),
        *(about_replies.ModelList, about_replies.ModelReply),
        *(about_replies.HealthReply, about_replies.VersionReply),
    )
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    for name in ("ChatRequest", "CompletionRequest"):  # JSON's keys are text
        schemas[name]["properties"]["logit_bias"]["anyOf"][0]["propertyNames"] = _TOKEN_ID
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "RelayGen",
            "version": relaygen.__version__,
            "description": "One generation on two models, under OpenAI's API.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }
    return msgspec.json.encode(document)


def _paths() -> dict[str, Any]:
    health = _content("Why not.", _ref("HealthReply"))
    return {
        "/v1/chat/completions": _post("Answers a chat, streamed or whole.", "Chat"),
        "/v1/completions": _post("Continues raw prompts.", "Completion"),
        "/v1/models": _get(
            "The names that a request may ask for.", _ref("ModelList"), *_keyed(401)
        ),
        "/v1/models/{model}": _get(
            "One of them.", _ref("ModelReply"), *_keyed(401, 404), parameters=[_MODEL]
        ),
        "/health/live": _get("Whether the process answers.", _ref("HealthReply")),
        "/health/ready": _get(
            "Whether a request would be served.", _ref("HealthReply"), {"503": health}
        ),
        "/metrics": _get(
            "Counters and histograms in Prometheus's format.",
            {"type": "string"},
            kind="text/plain",
        ),
        "/version": _get("The version of RelayGen.", _ref("VersionReply")),
        "/openapi.json": _get("This description.", {"type": "object"}),
    }


def _get(
    summary: str,
    reply: dict[str, Any],
    failures: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
    *,
    kind: str = _JSON,
    **fields: Any,
) -> dict[str, Any]:
    """A path that generates nothing."""
    responses = {"200": _content("The answer.", reply, kind), **(failures or {})}
    return {"get": {"summary": summary, "responses": responses, **(more or {}), **fields}}


def _post(summary: str, name: str) -> dict[str, Any]:
    """A path that generates."""
    answer = _content("The answer.", _ref(f"{name}Reply"))
    answer["content"]["text/event-stream"] = {"schema": _EVENT}
    failures, security = _keyed(*_REFUSED)
    body = {"required": True, "content": {_JSON: {"schema": _ref(f"{name}Request")}}}
    responses = {"200": answer, **failures}
    return {"post": {"summary": summary, "requestBody": body, "responses": responses, **security}}


def _keyed(*statuses: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a path that asks for a key may refuse, and that it asks for one where there are any."""
    failures = {str(status): _content(_REFUSED[status], _ref("Error")) for status in statuses}
    return failures, {"security": [{"key": []}, {}]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(description: str, schema: dict[str, Any], kind: str = _JSON) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}
