"""The description of the gateway at ``/openapi.json``, made from the types that decode requests."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

import relaygen
from relaygen.gateway.wire.chat_request import ChatRequest
from relaygen.gateway.wire.completion_request import CompletionRequest
from relaygen.gateway.wire.replies import ChatReply, CompletionReply

_ABOUT = {
    "/v1/models": "The names that a request may ask for.",
    "/health/live": "Whether the process answers.",
    "/health/ready": "Whether a request would be served; 503 while draining.",
    "/metrics": "Counters and histograms in Prometheus's format.",
    "/version": "The version of RelayGen.",
    "/openapi.json": "This description.",
}
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


@cache
def openapi() -> bytes:
    """The document, as JSON; made when it is first asked for."""
    kinds = (ChatRequest, ChatReply, CompletionRequest, CompletionReply)
    references, schemas = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    chat, chat_reply, completion, completion_reply = references
    paths: dict[str, Any] = {path: {"get": _operation(text)} for path, text in _ABOUT.items()}
    paths["/v1/models/{model}"] = {
        "get": _operation("One of them.")
        | {
            "parameters": [
                {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
            ]
        }
    }
    paths["/v1/chat/completions"] = {
        "post": _operation("Answers a chat, streamed or whole.", chat, chat_reply)
    }
    paths["/v1/completions"] = {
        "post": _operation("Continues raw prompts.", completion, completion_reply)
    }
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "RelayGen",
            "version": relaygen.__version__,
            "description": "One generation on two models, under OpenAI's API.",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }
    return msgspec.json.encode(document)


def _operation(
    summary: str, request: dict[str, Any] | None = None, reply: dict[str, Any] | None = None
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "default": _content("An error.", {"$ref": "#/components/schemas/Error"})
    }
    responses["200"] = _content("The answer.", reply) if reply else {"description": "The answer."}
    if reply:
        responses["200"]["content"]["text/event-stream"] = {"schema": _EVENT}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if request:
        operation["requestBody"] = {"required": True} | _content("", request)
        del operation["requestBody"]["description"]
        operation["security"] = [{"key": []}, {}]
    return operation


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
