"""Models, health, version, description, CORS and request ids."""

from __future__ import annotations

import dataclasses
import re

import jsonschema
import pytest

import relaygen
from relaygen.gateway.wire.common_request import RelayFields
from relaygen.relay.config import RelayConfig
from relaygen.settings import ServerSettings
from tests.gateway.pairs import pair

PAGE = "https://page.example"


async def test_the_models_are_the_pair_and_each_of_its_policies() -> None:
    async with pair() as opened:
        listed = (await opened.client.get("/v1/models")).json
        one = (await opened.client.get("/v1/models/pair:small")).json
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == [
        "pair",
        "pair:relay",
        "pair:large",
        "pair:small",
        "pair:random",
        "pair:paper",
    ]
    assert one in listed["data"]
    assert (one["object"], one["owned_by"], one["created"]) == ("model", "relaygen", 1700000000)
    assert one["relaygen"] == {"policy": "small", "means": "the small model alone"}


async def test_health_and_version() -> None:
    problems: list[str | None] = [None, "the large pool is empty"]
    async with pair(ready=lambda: problems[0]) as opened:
        assert (await opened.client.get("/health/ready")).json == {"status": "ready"}
        problems.reverse()
        ready = await opened.client.get("/health/ready")
        assert (ready.status, ready.json["reason"]) == (503, "the large pool is empty")
        assert (await opened.client.get("/health/live")).json == {"status": "live"}
        version = (await opened.client.get("/version")).json
    assert version == {"version": relaygen.__version__}


async def test_the_description_has_every_path_and_resolves() -> None:
    async with pair(settings=ServerSettings(playground=False)) as opened:
        reply = await opened.client.get("/openapi.json")
        routes = {re.sub(r":path", "", route.path) for route in opened.app.routes}  # type: ignore[attr-defined]
    document = reply.json
    assert document["paths"].keys() == routes
    schemas = document["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/(\w+)"', reply.body.decode()):
        assert name in schemas
    answered = document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]
    assert answered["content"].keys() == {"application/json", "text/event-stream"}
    chat = schemas["ChatRequest"]
    assert set(chat["required"]) == {"model", "messages"}
    assert chat["additionalProperties"] is False


async def test_what_is_told_without_a_request_is_as_described() -> None:
    problems: list[str | None] = [None, "the large pool is empty"]
    async with pair(ready=lambda: problems[0]) as opened:
        document = (await opened.client.get("/openapi.json")).json
        described = {path: way["get"] for path, way in document["paths"].items() if "get" in way}
        asked = [path.format(model="pair:small") for path in described]
        replies = [await opened.client.get(path) for path in asked]
        problems.reverse()
        described["unready"] = described["/health/ready"]
        replies.append(await opened.client.get("/health/ready"))
        described["nobody"] = described["/v1/models/{model}"]
        replies.append(await opened.client.get("/v1/models/nobody"))
    assert {reply.status for reply in replies} == {200, 404, 503}
    for operation, reply in zip(described.values(), replies, strict=True):
        kind = reply.headers["content-type"].partition(";")[0]
        schema = operation["responses"][str(reply.status)]["content"][kind]["schema"]
        if kind == "application/json":
            resolved = schema | {"components": document["components"]}
            jsonschema.validate(reply.json, resolved)


async def test_the_description_tells_ids_in_a_bias_and_who_needs_a_key() -> None:
    async with pair() as opened:
        document = (await opened.client.get("/openapi.json")).json
    for name in ("ChatRequest", "CompletionRequest"):
        bias, _ = document["components"]["schemas"][name]["properties"]["logit_bias"]["anyOf"]
        jsonschema.validate({"5": 1.5}, bias)
        with pytest.raises(jsonschema.ValidationError, match="'five' does not match"):
            jsonschema.validate({"five": 1.5}, bias)
    ways = document["paths"].items()
    keyed = {path for path, way in ways if all("security" in told for told in way.values())}
    assert keyed == {path for path in document["paths"] if path.startswith("/v1/")}


def test_the_extension_takes_every_limit_of_a_relay() -> None:
    limits = {field.name for field in dataclasses.fields(RelayConfig)}
    assert limits <= set(RelayFields.__struct_fields__)


async def test_other_origins_may_not_call_unless_they_are_named() -> None:
    async with pair() as opened:
        reply = await opened.client.get("/version", origin=PAGE)
        assert "access-control-allow-origin" not in reply.headers
    async with pair(settings=ServerSettings(cors_origins=(PAGE,))) as opened:
        reply = await opened.client.get("/version", origin=PAGE)
        assert reply.headers["access-control-allow-origin"] == PAGE
        asked = {"access_control_request_method": "POST", "origin": PAGE}
        reply = await opened.client.call("/v1/chat/completions", method="OPTIONS", **asked).end()
        assert reply.status == 200
        reply = await opened.client.get("/version", origin="https://other.example")
        assert "access-control-allow-origin" not in reply.headers


async def test_request_ids_go_in_and_out() -> None:
    async with pair() as opened:
        reply = await opened.client.get("/version", x_request_id="abc-1")
        assert reply.headers["x-request-id"] == "abc-1"
        for path in ("/version", "/nowhere", "/v1/chat/completions"):
            reply = await opened.client.get(path, x_request_id="a b\n")
            assert reply.headers["x-request-id"].startswith("req_")
        assert (await opened.client.chat(stream=True)).headers["x-request-id"]


async def test_the_playground_is_served_where_it_is_wanted() -> None:
    async with pair(settings=ServerSettings(playground=False)) as opened:
        assert (await opened.client.get("/")).status == 404
    async with pair(settings=ServerSettings(playground=True)) as opened:
        page = await opened.client.get("/")
        script = await opened.client.get("/playground/playground.js")
    assert page.headers["content-type"].startswith("text/html")
    assert script.headers["content-type"].startswith("text/javascript")
    for reply in (page, script):
        assert reply.status == 200
        assert "script-src 'self'" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
