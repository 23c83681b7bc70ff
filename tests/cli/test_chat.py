"""``relaygen chat``: turns, commands, and what goes wrong, with lines from stdin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relaygen.engines.base import GenerateRequest
from relaygen.engines.simulated import Fault, SimulatedEngine

from .conftest import STORY, Cli, Recite
from .simulated import ANSWER


def test_answers_go_to_stdout_and_the_rest_to_stderr(cli: Cli) -> None:
    ran = cli("chat", "--seed", "3", stdin=f"{STORY}\n\n{STORY}\n")
    assert ran.code == 0
    assert ran.out.count(ANSWER) == 2
    assert ran.err.count("seed 3") == 2


def test_turns_remember_what_was_said(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    lines = ["/system Be brief.", STORY, "And if she buys 2 more?", f"/save {file}"]
    assert cli("chat", stdin="\n".join(lines)).code == 0
    saved = json.loads(file.read_text(encoding="utf-8"))
    roles = [message["role"] for message in saved["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    assert saved["messages"][2]["content"].strip() == ANSWER
    first, second = (turn["usage"]["prompt_tokens"] for turn in saved["turns"])
    assert second > first


def test_turns_share_the_cached_prefix(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ids: list[str] = []
    submit = SimulatedEngine.submit

    def watched(self: SimulatedEngine, request: GenerateRequest, sink: object) -> object:
        ids.append(request.generation_id)
        return submit(self, request, sink)  # type: ignore[arg-type]

    monkeypatch.setattr(SimulatedEngine, "submit", watched)
    cli("chat", stdin=f"{STORY}\n{STORY}\n/reset\n{STORY}\n")
    assert len(set(ids)) == 2
    assert "" not in ids


def test_commands(cli: Cli) -> None:
    lines = [STORY, "/trace", "/policy small", STORY, "/policy x", "/seed 5", "/seed x", "/nope"]
    ran = cli("chat", stdin="\n".join([*lines, "/help", "/quit", STORY]))
    assert ran.code == 0
    assert ran.out.count(ANSWER) == 2
    for said in (
        "sentence_end",
        "written by policy small",
        "0 of them by the large model",
        "the policy is small",
        "the seed is now 5",
        "the seed is 5",
        "no command /nope",
        "/system",
    ):
        assert said in ran.err, said


def test_trace_and_save_need_something(cli: Cli, tmp_path: Path) -> None:
    ran = cli("chat", stdin=f"/trace\n/save\n/save {tmp_path}\n/save no/such/folder/x\n")
    assert ran.code == 0
    for said in ("no answer yet", "takes the name", "is a folder", "there is no folder"):
        assert said in ran.err


def test_policies_that_need_cues_are_refused_without(cli: Cli) -> None:
    from relaygen import demo_models

    models = ("--large", str(demo_models.gguf("large")), "--small", str(demo_models.gguf("small")))
    ran = cli("chat", "--policy", "large", *models, stdin="/policy relay\n")
    assert "no cues to switch at" in ran.err


def test_the_scope_of_the_embedded_pair_is_told_once(cli: Cli) -> None:
    ran = cli("chat", stdin=f"{STORY}\nWhat is love?\nWhat is art?\n")
    assert ran.err.count("arithmetic stories") == 1


def test_what_goes_wrong_does_not_end_the_chat(cli: Cli, recite: Recite) -> None:
    recite(fault=Fault(kind="fail", after=5, retryable=False))
    ran = cli("chat", stdin=f"{'word ' * 3000}\n{STORY}\n/help\n")
    assert ran.code == 1
    assert "holds 2,048" in ran.err
    assert "broke off" in ran.err
    assert "/reset" in ran.err


def test_a_turn_without_an_answer_is_forgotten(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    ran = cli("chat", "--max-tokens", "9", stdin=f"{STORY}\n/save {file}\n")
    assert "no answer in it" in ran.err
    assert json.loads(file.read_text(encoding="utf-8"))["messages"] == []
