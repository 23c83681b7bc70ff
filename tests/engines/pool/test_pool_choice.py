from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.engines.affinity import new_generation_id
from relaygen.engines.base import GenerateRequest
from relaygen.engines.pool.choice import bound, choose, ranked
from tests.engines.pool.pools import PROMPT, Pool, leg, write, write_on
from tests.engines.pool.virtual import run

NAMES = st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=6, unique=True)


@settings(max_examples=25)
@given(st.text(), NAMES, st.data())
def test_a_replica_that_goes_moves_only_its_own_keys(
    key: str, names: list[str], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(names))
    rest = [name for name in names if name != gone]
    assert ranked(key, rest) == [name for name in ranked(key, names) if name != gone]
    assert ranked(key, names[::-1]) == ranked(key, names)


def test_keys_spread_over_the_replicas() -> None:
    counts = Counter(ranked(f"key {i}", "ABCD")[0] for i in range(2000))
    assert all(400 < counts[name] < 600 for name in "ABCD")


@settings(max_examples=25)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 20))
def test_a_choice_keeps_to_the_bound_or_is_the_least_loaded(loads: list[int], sticky: int) -> None:
    most = bound(sum(loads), len(loads), balance=1.25, sticky_legs=sticky)
    chosen = choose(range(len(loads)), loads.__getitem__, most)
    assert chosen == 0 or loads[0] >= most
    assert loads[chosen] < most
    assert loads[chosen] in (loads[0], min(loads))


def test_legs_of_a_generation_stay_together_and_so_do_turns_of_a_chat() -> None:
    async def scene() -> None:
        pool = Pool("ABCDE")
        turns = [new_generation_id("a chat") for _ in range(4)]
        for turn in turns:
            await pool.engine.prefill(PROMPT, turn)
            for written in ((), (1, 2), (1, 2, 3, 4)):
                await write(pool, leg(written, 2, turn))
            await pool.engine.score((*PROMPT, 1, 2), len(PROMPT), generation_id=turn)
        users = [pool.users(turn) for turn in turns]
        assert users == [users[0]] * 4
        assert len(users[0]) == 1
        assert pool[users[0][0]].prefills == turns
        others = {pool.users(g)[0] for g in map(str, range(30)) if await write(pool, leg((), 1, g))}
        assert others == set("ABCDE")

    run(scene())


def test_generations_of_one_chat_overflow_to_the_least_loaded() -> None:
    async def scene() -> None:
        pool = Pool("ABCD", sticky_legs=3)
        ids = [new_generation_id("the same") for _ in range(40)]
        await asyncio.gather(*(write(pool, leg((), 40, i)) for i in ids))
        loads = sorted(len(r.legs) for r in pool.replicas.values())
        assert loads[0] >= 7
        assert loads[-1] <= bound(39, 4, balance=1.25, sticky_legs=3)
        few = Pool("ABCD", sticky_legs=3)
        await asyncio.gather(*(write(few, leg((), 40, i)) for i in ids[:3]))
        assert sorted(len(r.legs) for r in few.replicas.values()) == [0, 0, 0, 3]

    run(scene())


def test_without_an_id_the_least_loaded_takes_it() -> None:
    async def scene() -> None:
        pool = Pool("ABC")
        await asyncio.gather(*(write(pool, leg((), 5, "")) for _ in range(9)))
        assert [len(r.legs) for r in pool.replicas.values()] == [3, 3, 3]

    run(scene())


def test_a_generation_leaves_a_replica_that_failed_it_and_does_not_come_back() -> None:
    async def scene() -> None:
        pool = Pool("ABC")
        await write(pool, leg((), 2))
        [first] = pool.users("g")
        pool[first].alive = False
        assert await write_on(pool) == (*range(1, 41), 0)
        pool[first].alive = True
        legs = len(pool[first].legs)
        for _ in range(3):
            await write(pool, leg((1,), 2))
        assert len(pool[first].legs) == legs
        assert len(pool.users("g")) == 2
        counts = pool.engine.counts()
        assert counts.failovers == 1
        assert counts.moves == 1

    run(scene())


def test_what_the_replicas_are_asked_is_what_the_pool_was_asked() -> None:
    async def scene() -> list[GenerateRequest]:
        pool = Pool("A")
        await write(pool, leg((1, 2), 3))
        return pool["A"].legs

    assert run(scene()) == [leg((1, 2), 3)]
