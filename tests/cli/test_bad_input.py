"""Bad input is one line on stderr that says what to do, exit code 2, nothing on stdout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from relaygen import demo_models
from relaygen.cli.options import PolicyName
from relaygen.relay.policies import POLICIES

from .conftest import STORY, Cli, Recite

LARGE, SMALL = str(demo_models.gguf("large")), str(demo_models.gguf("small"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((STORY, "--large", "no.gguf", "--small", SMALL, "--cues", "qwen3"), "no model at no.gguf"),
        ((STORY, "--large", LARGE), "without --small"),
        ((STORY, "--small", SMALL), "without --large"),
        ((STORY, "--large", LARGE, "--small", SMALL), "name a profile with --cues"),
        ((STORY, "--cues", "nope"), "no cue profile 'nope'"),
        ((STORY, "--cues", "demo", "--cue", "So,"), "not both"),
        ((STORY, "--cue", "3 apples"), "must begin with a letter"),
        (("",), "the question is empty"),
        (("  \n",), "the question is empty"),
        ((), "the question is empty"),
        (("word " * 3000, "-q"), "holds 2,048"),
        ((STORY, "--policy", "nope"), "'nope'"),
        ((STORY, "--temperature", "-1"), "temperature is -1.0"),
        ((STORY, "--temperature", "nan"), "temperature is nan"),
        ((STORY, "--top-p", "0"), "top_p is 0.0"),
        ((STORY, "--top-k", "-3"), "top_k is -3"),
        ((STORY, "--presence-penalty", "3"), "presence_penalty is 3.0"),
        ((STORY, "--seed", "-1"), "seed is -1"),
        ((STORY, "--seed", "many"), "--seed"),
        ((STORY, "--max-tokens", "0"), "at least 1"),
        ((STORY, "--stop", ""), "--stop is empty"),
        ((STORY, "--set", "max_small_tokens"), "NAME=VALUE"),
        ((STORY, "--set", "max_small_tokens=many"), "a whole number"),
        ((STORY, "--set", "max_small_tokens=0"), "at least 1"),
        ((STORY, "--set", "force_answer=1"), "true or false"),
        ((STORY, "--trace", "no/such/folder/t.json"), "there is no folder"),
        ((STORY, "--trace", "."), "is a folder"),
        ((STORY, "--nonsense"), "--nonsense"),
    ],
)
def test_bad_input(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    ran = cli("run", *arguments)
    assert ran.code == 2
    assert says in ran.err
    assert ran.err.startswith("relaygen: ")
    assert ran.err.count("\n") == 1
    assert ran.out == ""


def test_damaged_files_are_named(cli: Cli, tmp_path: Path) -> None:
    damaged, text = tmp_path / "damaged.gguf", tmp_path / "text.gguf"
    damaged.write_bytes(Path(LARGE).read_bytes()[:100_000])
    text.write_text("hello, this is no model at all")
    for file in (damaged, text):
        ran = cli("run", STORY, "--large", str(file), "--small", SMALL, "--cues", "demo")
        assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, "")
        assert file.name in ran.err


def _with_other_tokens(folder: Path) -> str:
    shutil.copytree(demo_models.hf_folder("small"), folder)
    file = folder / "tokenizer.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = data["model"]["vocab"]
    one, other = list(vocabulary)[40:42]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    file.write_text(json.dumps(data), encoding="utf-8")
    return str(folder)


def test_different_tokenizers_name_the_first_difference(cli: Cli, tmp_path: Path) -> None:
    small = _with_other_tokens(tmp_path / "other")
    ran = cli("run", STORY, "--large", LARGE, "--small", small, "--cues", "demo")
    assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, "")
    assert "differ: the id" in ran.err


def test_model_without_reasoning_tags_is_one_stage(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(demo_models.hf_folder("large"), folder)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["chat_template"] = "{% for m in messages %}{{ m.content }}{% endfor %}"
    file.write_text(json.dumps(config), encoding="utf-8")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    models = ("--large", str(folder), "--small", SMALL, "--cues", "demo")
    ran = cli("run", STORY, "--json", *models)
    assert ran.code == 0
    assert "no reasoning tags" in ran.err
    assert json.loads(ran.out)["reasoning"] == ""
    refused = cli("run", STORY, "--no-thinking", *models)
    assert refused.code == 2
    assert "no enable_thinking switch" in refused.err


def test_small_context_is_too_small(cli: Cli, recite: Recite) -> None:
    recite(context_tokens=16)
    ran = cli("run", STORY)
    assert ran.code == 2
    assert "holds 16" in ran.err


def test_bug_is_one_line_and_a_traceback_only_on_demand(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("of a kind")

    monkeypatch.setattr("relaygen.api.model.open_engine", fail)
    ran = cli("run", STORY)
    assert ran.code == 1
    assert "report it" in ran.err
    assert ran.err.count("\n") == 1
    monkeypatch.setenv("RELAYGEN_DEBUG", "1")
    assert "Traceback" in cli("run", STORY).err


def test_policy_names_are_those_of_the_library() -> None:
    assert [p.value for p in PolicyName] == list(POLICIES)


def test_no_command_shows_the_help(cli: Cli) -> None:
    ran = cli()
    assert ran.code == 2
    assert "demo" in ran.err
    assert cli("nonsense").code == 2
