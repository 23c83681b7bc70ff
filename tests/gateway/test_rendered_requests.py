"""Every family's template, rendered from a request and by transformers: from the gateway's side."""

from __future__ import annotations

import json

import pytest

from relaygen.errors import RelayGenError
from relaygen.gateway.failures import HttpError
from relaygen.gateway.requests.chat import read_chat
from relaygen.gateway.wire.chat_request import ChatRequest
from relaygen.gateway.wire.decode import decode
from tests.chat.reference import Refused, asked, rendered, stopped_clock  # noqa: F401 - a fixture
from tests.chat.scenarios import SCENARIOS
from tests.chat.well_known import EVERY, FAMILIES
from tests.gateway.pairs import pair

pytestmark = pytest.mark.hf


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", EVERY)
async def test_a_request_is_rendered_as_transformers_does(name: str, scenario: str) -> None:
    family = EVERY[name]
    request = asked(scenario, family)
    async with pair(encoder=family.encoder) as opened:
        service = opened.service
        if service.tool_calls is None or not service.template.tools:
            request.pop("tools", None)  # the gateway refuses them
        expected = rendered(family, request, service.call_history)
        if service.call_history is None and any("tool_calls" in m for m in request["messages"]):
            expected = Refused("does not show earlier calls")
        body = json.dumps({"model": "pair", **request}).encode()
        if isinstance(expected, Refused):
            assert scenario in family.refuses or name not in FAMILIES
            with pytest.raises((RelayGenError, HttpError)) as caught:
                read_chat(decode(body, ChatRequest), service)
            assert expected.words in str(caught.value)
        else:
            assert read_chat(decode(body, ChatRequest), service).prompt.text == expected
