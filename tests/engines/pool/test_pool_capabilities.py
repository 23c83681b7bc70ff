from __future__ import annotations

import pytest

from relaygen.engines.base import Engine
from relaygen.engines.pool import PoolEngine, Replica, weakest
from relaygen.engines.simulated import RandomModel, ScriptedModel, SimulatedEngine
from relaygen.errors import InvalidRequestError
from tests.engines.pool.pools import END, Mortal, Pool, leg, scripted
from tests.engines.pool.virtual import run


class Formal(Mortal):
    """Can hold its output to a form: the form is the tokens."""

    def __init__(self, name: str, kinds: str) -> None:
        super().__init__(name, scripted())
        self.kinds = frozenset(kinds)

    def constraint_kinds(self) -> frozenset[str]:
        return self.kinds

    def constrained(self, constraint: list[int]) -> Engine:
        self.engine = SimulatedEngine(ScriptedModel(constraint, vocab_size=64, end_token=END))
        return self


def test_a_constraint_holds_on_whichever_replica_writes() -> None:
    async def scene() -> None:
        pool = Pool([Formal("A", "ab"), Formal("B", "bc")])
        assert pool.engine.constraint_kinds() == {"b"}
        view = pool.engine.constrained([9, 8, 7])
        for name in ("A", "B"):
            pool[name].alive = False
            outputs = [o async for o in view.generate(leg((), 3, f"without {name}"))]
            assert [t for output in outputs for t in output.token_ids] == [9, 8, 7]
            pool[name].alive = True
        assert view.capabilities() == pool.engine.capabilities()
        assert Pool("AB").engine.constraint_kinds() == frozenset()

    run(scene())


def test_a_pool_can_do_what_all_its_replicas_can() -> None:
    large = SimulatedEngine(RandomModel(64), inline=True, context_tokens=100)
    plain = SimulatedEngine(RandomModel(64), context_tokens=50, cached_sequences=0)
    found = weakest([Replica(name="a", engine=large), Replica(name="b", engine=plain)])
    assert found.context_tokens == 50
    assert found.prefix_cache is False
    assert found.inline is False
    assert found.prompt_scoring is True


@pytest.mark.parametrize("names", ["", "AA", "AB"])
def test_replicas_of_no_or_different_models_are_refused(names: str) -> None:
    replicas = [
        Replica(name=name, engine=SimulatedEngine(RandomModel(60 + i)))
        for i, name in enumerate(names)
    ]
    with pytest.raises(InvalidRequestError) as raised:
        PoolEngine(replicas)
    assert raised.value.param == "replicas"
