"""Every family's template, rendered here and by transformers: from the library's side."""

from __future__ import annotations

import pytest

from relaygen.chat.tool_calls import CallHistory
from relaygen.errors import RelayGenError
from tests.chat.reference import Refused, as_shown, asked, rendered, stopped_clock  # noqa: F401 - a fixture
from tests.chat.scenarios import SCENARIOS
from tests.chat.well_known import EVERY, FAMILIES

pytestmark = pytest.mark.hf


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", EVERY)
def test_the_text_is_that_of_transformers(name: str, scenario: str) -> None:
    family = EVERY[name]
    request = asked(scenario, family)
    history = CallHistory.of(family.encoder)
    options = {
        "tools": request.get("tools"),
        "continue_final_message": request.get("continue_final_message", False),
        "add_generation_prompt": request.get("add_generation_prompt", True),
        **request.get("chat_template_kwargs", {}),
    }
    messages = as_shown(request["messages"], history)
    expected = rendered(family, request, history)
    if isinstance(expected, Refused):
        assert scenario in family.refuses or name not in FAMILIES
        with pytest.raises(RelayGenError) as caught:
            family.encoder.encode(messages, **options)
        assert expected.words in str(caught.value)
    else:
        assert family.encoder.encode(messages, **options).text == expected
        assert family.encoder.template.render(messages, **options) == expected
