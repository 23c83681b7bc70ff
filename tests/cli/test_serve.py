"""``relaygen serve``: what it refuses before it serves anything."""

from __future__ import annotations

import os

import pytest

from .conftest import Cli

URL = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RELAYGEN_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--large", URL), "--small is missing"),
        (("--small", URL), "--large is missing"),
        (("--large", URL, "--large", "a.gguf", "--small", URL), "--large is given 2 times"),
        (("--large", URL, "--small", URL, "--log", "xml"), "server.log"),
    ],
)
def test_bad_input(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    ran = cli("serve", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_a_model_may_come_from_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAYGEN_LARGE__REPLICAS", f'["{URL}"]')
    ran = cli("serve", "--small", URL, "--log", "xml")
    assert "missing" not in ran.err
    assert "server.log" in ran.err
