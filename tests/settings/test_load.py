"""Settings: the sources and their order, and errors that point at the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from relaygen.errors import SettingsError
from relaygen.relay.config import RelayConfig
from relaygen.settings import load
from relaygen.types import ModelRole, Sampling

Write = Callable[..., Path]

GOOD = """\
# A comment.
[relay]
name = "qwen"
limits = { max_small_tokens = 64 }

[large]
replicas = [
  "http://127.0.0.1:8001",
  "http://127.0.0.1:8002/",
]

[small]
replicas = ["http://127.0.0.1:8003"]

[server]
port = 9000

[[keys]]
name = "team"
hash = "sha256:{digest}"

[[keys]]
name = "ci"
hash = "sha256:{digest}"
concurrency = 2
""".replace("{digest}", "0" * 64)

YAML = """\
# A comment.
relay: {name: qwen}
large:
  replicas:
    - http://127.0.0.1:8001
small:
  replicas: [http://127.0.0.1:8003]
server:
  port: 9000
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "relaygen.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_file_is_read(write: Write) -> None:
    settings = load(write(GOOD))
    assert settings.relay.name == "qwen"
    assert settings.relay.limits == {"max_small_tokens": 64}
    assert settings.large.replicas == ("http://127.0.0.1:8001", "http://127.0.0.1:8002")
    assert settings.server.port == 9000
    assert [key.concurrency for key in settings.keys] == [None, 2]


def test_sampling_may_come_from_the_file_and_the_environment(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAYGEN_RELAY__SAMPLING__REPETITION_PENALTY", "1")
    text = GOOD.replace("[large]", "[relay.sampling]\ntop_k = 5\n\n[large]", 1)
    sampling = load(write(text)).relay.sampling
    own = Sampling(repetition_penalty=1.1, temperature=0.6, top_k=20)
    assert sampling.over(own) == Sampling(temperature=0.6, top_k=5)
    with pytest.raises(SettingsError, match=r"toml:6: relay.sampling: top_p is 2\.0"):
        load(write(text.replace("top_k = 5", "top_p = 2.0")))


def test_limits_are_those_of_the_relay(write: Write) -> None:
    limits = 'limits = { answer_role = "large", read_ahead = 8 }'
    text = GOOD.replace("limits = { max_small_tokens = 64 }", limits)
    assert load(write(text)).relay.config() == RelayConfig(
        answer_role=ModelRole.LARGE, read_ahead=8
    )


def test_reading_ahead_is_no_limit_of_the_paper(write: Write) -> None:
    text = GOOD.replace("max_small_tokens = 64", "read_ahead = 8")
    config = load(write(text.replace('"qwen"', '"qwen"\npolicy = "paper"'))).relay.config()
    assert config.under("paper") == replace(RelayConfig.paper_faithful(), read_ahead=8)


def test_yaml_says_the_same(write: Write) -> None:
    settings = load(write(YAML, "relaygen.yaml"))
    assert settings.small.replicas == ("http://127.0.0.1:8003",)
    assert settings.server.port == 9000


def test_flags_beat_the_environment_which_beats_the_file(
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELAYGEN_SERVER__PORT", "9001")
    monkeypatch.setenv("RELAYGEN_SERVER__HOST", "0.0.0.0")
    settings = load(write(GOOD), {"server": {"port": 9002}})
    assert settings.server.port == 9002
    assert settings.server.host == "0.0.0.0"
    assert settings.relay.name == "qwen"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("max_small_tokens", "max_smal_tokens", 4, "no limit max_smal_tokens; known are max_small"),
        ("max_small_tokens = 64", "max_small_tokens = 0", 4, "it must be at least 1"),
        (
            "max_small_tokens = 64",
            'answer_role = "medium"',
            4,
            "relay.limits.answer_role: input should be 'large' or",
        ),
        (
            "max_small_tokens = 64",
            'max_small_tokens = "many"',
            4,
            "relay.limits.max_small_tokens: input should be a valid integer",
        ),
        (
            "[large]",
            'policy = "paper"\n[large]',
            4,
            "relay.limits.max_small_tokens: cannot be set under",
        ),
        ('"qwen"', '"qwen"\nread_ahead = 8', 4, "no such setting"),
        ("port = 9000", "port = 99000", 16, "less than or equal to 65535"),
        ("port = 9000", "prot = 9000", 16, "did you mean port?"),
        ("port = 9000", 'otel_endpoint = "localhost:4318"', 16, "an address is like http://"),
        ("[server]", "[serber]", 15, "did you mean server?"),
        ("concurrency = 2", "concurrency = 0", 25, "greater than or equal to 1"),
        ('"http://127.0.0.1:8003"', '"127.0.0.1:8003"', 13, "http://127.0.0.1:8001"),
        ('  "http://127.0.0.1:8002/",', '  "http://127.0.0.1:8001",', 6, "listed twice"),
        ('name = "ci"', 'name = "ci"\nsecret = 1', 24, "no such setting"),
        ("sha256:" + "0" * 64 + '"\nconc', 'hunter2"\nconc', 24, "never in the clear"),
    ],
)
def test_a_mistake_is_shown_with_its_line(
    write: Write,
    old: str,
    new: str,
    line: int,
    says: str,
) -> None:
    assert old in GOOD
    path = write(GOOD.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert f"{path}:{line}: " in str(caught.value)
    assert says in str(caught.value)


LIMITS = """
[relay.limits]
max_small_tokens = 0
answer_role = "medium"
max_small_run = 2
max_smal_run = 2
"""


def test_each_mistake_in_a_table_of_limits_is_shown_with_its_line(write: Write) -> None:
    text = GOOD.replace("limits = { max_small_tokens = 64 }", "")
    path = write(text + LIMITS)
    with pytest.raises(SettingsError) as caught:
        load(path)
    line = text.count("\n") + 3
    told = str(caught.value).splitlines()
    assert [entry.partition(" ")[0] for entry in told] == [f"{path}:{line + n}:" for n in (0, 1, 3)]
    assert told[0].endswith("max_small_tokens is 0; it must be at least 1")


def test_each_limit_that_the_policy_brings_is_told(write: Write) -> None:
    text = GOOD.replace("[relay]", '[relay]\npolicy = "paper"')
    path = write(text.replace("{ max_", "{ max_small_run = 2, max_"))
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value).count(f"{path}:5: relay.limits.max_small_") == 2


def test_a_mistake_in_a_variable_that_holds_a_whole_table_is_the_variables(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAYGEN_RELAY__LIMITS", '{"max_small_run": 0}')
    with pytest.raises(SettingsError, match="RELAYGEN_RELAY__LIMITS in the environment"):
        load(write(GOOD))


@pytest.mark.parametrize(("text", "name"), [(GOOD, "a.toml"), (YAML, "a.yaml")])
def test_a_byte_order_mark_is_no_mistake(write: Write, text: str, name: str) -> None:
    assert load(write(f"\ufeff{text}", name)).server.port == 9000
    with pytest.raises(SettingsError, match=rf"{name}:\d+: server.port"):
        load(write(f"\ufeff{text}".replace("9000", "'x'"), name))


def test_a_mistake_in_yaml_is_shown_with_its_line(write: Write) -> None:
    path = write(YAML.replace("port: 9000", "port: many"), "relaygen.yml")
    with pytest.raises(SettingsError, match=r"relaygen.yml:9: server.port: .*\(it is 'many'\)"):
        load(path)


def test_all_mistakes_are_told_at_once(write: Write) -> None:
    text = GOOD.replace("port = 9000", 'port = "x"').replace("concurrency = 2", "concurrency = 0")
    with pytest.raises(SettingsError) as caught:
        load(write(text))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.toml", "[small]\n[large\n", r"a.toml:2: is not TOML: .* \(column 7\)$"),
        ("a.toml", "[small]\nreplicas = [\n", r"a.toml:2: is not TOML: .*end of document"),
        ("a.yaml", "small:\n  gguf: a\n  gguf: b\n", r"a.yaml:3: .*gguf is given twice, .* line 2"),
        ("a.yaml", "large: [\n", r"a.yaml:2: is not YAML"),
        ("a.yaml", "- 1\n", "holds no settings"),
        ("a.toml", "[large]\nreplicas = 'http://a'\n", "a.toml:2: large.replicas: .* a list"),
        ("a.yaml", "large: 3\n", "a.yaml:1: large: .* a table"),
        ("a.json", "{}", "is a .toml"),
        ("a.toml", "", "large: is missing"),
    ],
)
def test_what_is_not_a_configuration_is_refused(
    write: Write,
    name: str,
    text: str,
    says: str,
) -> None:
    with pytest.raises(SettingsError, match=says):
        load(write(text, name))


def test_a_missing_file_and_a_bad_variable_are_named(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsError, match=r"none.toml: cannot be read"):
        load(tmp_path / "none.toml")
    monkeypatch.setenv("RELAYGEN_SERVER__PORT", "many")
    with pytest.raises(SettingsError, match="RELAYGEN_SERVER__PORT in the environment"):
        load(write(GOOD))


def test_a_pool_is_either_served_or_loaded(write: Write) -> None:
    path = write(GOOD.replace("[small]", '[small]\ngguf = "small.gguf"'))
    with pytest.raises(SettingsError, match="either replicas"):
        load(path)
