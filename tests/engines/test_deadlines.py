from __future__ import annotations

from dataclasses import fields

import pytest

from relaygen.engines.deadlines import LegDeadlines
from relaygen.errors import InvalidRequestError


@pytest.mark.parametrize("name", [entry.name for entry in fields(LegDeadlines)])
@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_a_deadline_that_makes_no_sense_is_refused_by_name(name: str, bad: float) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        LegDeadlines(**{name: bad})
    assert raised.value.param == name
