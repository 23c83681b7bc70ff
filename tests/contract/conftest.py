from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable

import pytest

from relaygen.engines.base import Engine

from .engines import ENGINES, LACKS, Case


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what an engine declares it cannot do: a skip means a missing installation."""
    left_out = [item for item in items if _needs(item) & _lacks(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _needs(item: pytest.Item) -> set[str]:
    return {name for mark in item.iter_markers("needs") for name in mark.args}


def _lacks(item: pytest.Item) -> set[str]:
    callspec = getattr(item, "callspec", None)
    if callspec is None or "case" not in callspec.indices:
        return set()
    return LACKS.get(str(ENGINES[callspec.indices["case"]].id), set())


@pytest.fixture(params=ENGINES)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    made: Case | Awaitable[Case] = request.param()
    opened = made if isinstance(made, Case) else await made
    yield opened
    await opened.engine.aclose()
    if opened.close is not None:
        await opened.close()


@pytest.fixture
def engine(case: Case) -> Engine:
    return case.engine


@pytest.fixture
async def failing(case: Case) -> AsyncIterator[Engine]:
    assert case.failing is not None
    made = case.failing()
    opened = await made if isinstance(made, Awaitable) else made
    yield opened
    await opened.aclose()
