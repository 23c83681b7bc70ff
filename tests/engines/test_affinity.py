from __future__ import annotations

from relaygen.engines.affinity import affinity_of, new_generation_id, prompt_affinity


def test_ids_of_one_affinity_differ_and_have_one_key() -> None:
    ids = [new_generation_id("chat 7/ü~") for _ in range(3)]
    assert len(set(ids)) == 3
    assert len({affinity_of(i) for i in ids}) == 1
    assert affinity_of(ids[0]) != affinity_of(new_generation_id("chat 8"))
    assert ids[0].isascii()


def test_an_id_that_somebody_else_made_is_its_own_key() -> None:
    assert affinity_of("my chat") == "my chat"
    assert affinity_of("") == ""


def test_prompts_that_begin_alike_have_one_affinity() -> None:
    begin = list(range(256))
    assert prompt_affinity([*begin, 1]) == prompt_affinity([*begin, 2, 3])
    assert prompt_affinity([1, 2]) != prompt_affinity([12])
