"""``relaygen run``: what it prints, writes and answers, on engines that recite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relaygen.engines.simulated import Fault

from .conftest import STORY, Cli, Recite
from .simulated import ANSWER, TEXT


def test_text_goes_to_stdout_and_the_summary_to_stderr(cli: Cli) -> None:
    ran = cli("run", STORY, "--seed", "7")
    assert ran.code == 0
    assert ran.out == f"{TEXT}\n</think>\n\n{ANSWER}\n"
    assert "handoffs" in ran.err
    assert "seed 7" in ran.err
    assert ran.err.count("\n") == 1


def test_the_answer_alone(cli: Cli) -> None:
    assert cli("run", STORY, "--answer", "-q").out.strip() == ANSWER


def test_quiet_says_nothing(cli: Cli) -> None:
    assert cli("run", "What is love?", "--quiet").err == ""


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_the_question_is_read_from_stdin(cli: Cli, arguments: tuple[str, ...]) -> None:
    ran = cli("run", "--json", *arguments, stdin=f"{STORY}\n")
    assert ran.code == 0
    assert json.loads(ran.out)["answer"].strip() == ANSWER


def test_json_adds_up(cli: Cli) -> None:
    ran = cli("run", STORY, "--json", "--margins")
    result = json.loads(ran.out)
    segments = result["trace"]["segments"]
    assert "".join(s["text"] for s in segments) == result["text"]
    assert sum(len(s["token_ids"]) for s in segments) == result["usage"]["completion_tokens"]
    assert (
        sum(len(s["token_ids"]) for s in segments if s["stage"] == "reasoning")
        == result["usage"]["completion_tokens_details"]["reasoning_tokens"]
    )
    assert result["finish_reason"] == "stop"
    assert {s["role"] for s in segments} == {"large", "small"}
    assert all(len(s["margins"]) == len(s["token_ids"]) for s in segments)
    assert [s["ended_by"] for s in segments][:2] == ["cue:So,", "sentence_end"]


def test_json_has_no_margins_unless_asked(cli: Cli) -> None:
    segments = json.loads(cli("run", STORY, "--json").out)["trace"]["segments"]
    assert all(s["margins"] is None for s in segments)


def test_trace_file_says_what_repeats_the_run(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    ran = cli("run", STORY, "--trace", str(file), "--temperature", "0.3", "--cue", "Wait,")
    saved = json.loads(file.read_text(encoding="utf-8"))
    run = saved["run"]
    assert saved["text"] + "\n" == ran.out
    assert f"seed {run['seed']}" in ran.err
    assert run["cues"] == [{"text": "Wait,", "position": "sentence", "confirm_tokens": 0}]
    assert run["messages"] == [{"role": "user", "content": STORY}]
    assert len(run["prompt_token_ids"]) == saved["usage"]["prompt_tokens"]
    assert len(run["tokenizer_fingerprint"]) == 64
    for model in run["models"].values():
        assert Path(model["path"]).is_file()
        assert model["sampling"]["temperature"] == 0.3
        assert len(model["sampled_sha256"]) == 64
    assert [p.name for p in tmp_path.iterdir()] == ["trace.json"]


@pytest.mark.parametrize(("policy", "roles"), [("large", {"large"}), ("small", {"small"})])
def test_one_model_alone(cli: Cli, policy: str, roles: set[str]) -> None:
    segments = json.loads(cli("run", STORY, "--json", "--policy", policy).out)["trace"]["segments"]
    assert {s["role"] for s in segments} == roles


def test_limits_are_set_by_name(cli: Cli) -> None:
    out = cli("run", STORY, "--json", "--set", "max_small_tokens=5").out
    segments = json.loads(out)["trace"]["segments"]
    assert "max_small_tokens" in {s["ended_by"] for s in segments}


def test_max_tokens_and_stop(cli: Cli) -> None:
    cut = json.loads(cli("run", STORY, "--json", "--max-tokens", "9").out)
    assert cut["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 9
    assert cli("run", STORY, "--answer", "--stop", "\\boxed").out.strip() == "The answer is"


def test_no_thinking_reaches_the_template(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    cli("run", STORY, "--no-thinking", "--system", "Be brief.", "--trace", str(file))
    run = json.loads(file.read_text(encoding="utf-8"))["run"]
    assert run["prompt"].endswith("<think>\n\n</think>\n\n")
    assert run["messages"][0] == {"role": "system", "content": "Be brief."}


def test_other_questions_are_told_what_the_pair_knows(cli: Cli) -> None:
    assert "arithmetic stories" in cli("run", "What is the capital of France?").err
    assert "arithmetic stories" not in cli("run", STORY).err


def test_hostile_text_does_not_reach_the_terminal(cli: Cli, recite: Recite) -> None:
    recite("a\x1b[31mb\x07\x9bc \u202ed [red]e[/red]\n</think>\n\nf")
    assert cli("run", STORY, "--policy", "large").out.startswith(
        r"a\x1b[31mb\x07\x9bc \u202ed [red]e[/red]"
    )
    out = cli("run", STORY, "--policy", "large", "--json").out
    assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in out.rstrip("\n"))
    assert json.loads(out)["text"].startswith("a\x1b[31mb\x07\x9bc \u202ed")


def test_failure_in_the_middle_keeps_what_was_written(cli: Cli, recite: Recite) -> None:
    recite(fault=Fault(kind="fail", after=5, retryable=False))
    ran = cli("run", STORY, "--json")
    result = json.loads(ran.out)
    assert ran.code == 1
    assert result["finish_reason"] == "error"
    assert result["usage"]["completion_tokens"] == 5
    assert "the generation broke off" in ran.err
    assert "Traceback" not in ran.err
