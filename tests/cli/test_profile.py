from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relaygen import demo_models, profiles
from relaygen.profiling.store import TrajectoryStore
from relaygen.profiling.trajectories import columns_of
from relaygen.tokens import Fingerprint, Tokenizer

from .conftest import Cli, Ran, Recite

LARGE, SMALL = str(demo_models.gguf("large")), str(demo_models.gguf("small"))
EASY = "{}, the sum of {} and {} is what is asked of us here."
HARD = "{}, I think of {} and {} as of two odd things."


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    entries = [
        {"id": f"q{i}", "question": f"What is {i} and {i * 7 + 1} in all?"} for i in range(8)
    ]
    path.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
    return path


@pytest.fixture
def pair(recite: Recite, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Engines that recite one text; the small one agrees, and both are surer, after "So,"."""

    def choose(with_effect: bool) -> None:
        kinds = [EASY.format("So", 3, 7), HARD.format("Wait", 2, 9)]
        recite(" ".join(kinds * 4) + "\n</think>\n\nDone.")
        if with_effect:
            monkeypatch.setattr("relaygen.profiling.collecting.columns_of", surer_after_so)

    return choose


def surer_after_so(values: dict[str, list[Any]]) -> dict[str, Any]:
    """The columns of a trajectory, with margins and agreement that depend on the sentence."""
    tokenizer = Tokenizer.load(LARGE)
    rng = random.Random(len(values["token_id"]))
    text, margins, agrees = "", [], []
    for token_id in values["token_id"]:
        easy = text.rpartition(".")[2].strip().startswith("So,")
        margins.append(rng.uniform(0.9, 1.0) if easy else rng.uniform(0.3, 1.0))
        agrees.append(int(rng.random() < (0.97 if easy else 0.5)))
        text += tokenizer.decode([token_id])
    return columns_of({**values, "margin": margins, "agrees": agrees})


Profile = Callable[..., Ran]


def no_model(*arguments: object, **options: object) -> None:
    raise AssertionError("a model is loaded")


@pytest.fixture
def profile(cli: Cli, questions: Path, tmp_path: Path) -> Profile:
    def run(*arguments: str) -> Ran:
        out = ("--questions", str(questions), "-o", str(tmp_path / "p.json"))
        return cli("profile", *out, *arguments)

    return run


def test_a_profile_of_a_pair_in_one_command(
    pair: Callable[[bool], None],
    profile: Profile,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair(True)
    ran = profile()
    assert ran.code == 0, ran.err
    assert "8 questions are few" in ran.err
    assert re.search(r"^'So,' +yes +yes", ran.out, re.MULTILINE)
    assert re.search(r"^'Wait,' +- ", ran.out, re.MULTILINE)
    found = profiles.load(tmp_path / "p.json")
    assert [cue.text for cue in found.cues] == ["So,"]
    assert found.tokenizer_fingerprint == Fingerprint.of(Tokenizer.load(LARGE)).hexdigest
    made = found.provenance
    assert made is not None
    assert (made.questions, made.trajectories, made.seed) == (8, 8, 0)
    assert made.data == "questions.jsonl"
    assert len(made.data_sha256) == 64
    assert "<title>Switch cues of relaygen-demo-large" in (tmp_path / "p.html").read_text()
    assert len(list((tmp_path / "p-plots").iterdir())) == 5
    shown = cli("profile", "show", str(tmp_path / "p.json"))
    assert "8 questions, 8 trajectories" in shown.out
    # Nothing is written anew: the engines would recite something else by now.
    again = profile("--target-utilisation", "0.01", "--no-report")
    assert again.code == 0, again.err
    assert len(profiles.load(tmp_path / "p.json").cues) > 1
    monkeypatch.setattr("relaygen.api.model.open_engine", no_model)
    other = profile("--seed", "5")  # told before a model is loaded
    assert other.code == 2
    assert "made with seed 0, not 5" in other.err


def test_a_folder_in_use_is_told_before_a_model_is_loaded(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("relaygen.api.model.open_engine", no_model)
    with TrajectoryStore(tmp_path / "p-trajectories", {}):
        ran = profile("--no-report")
    assert ran.code == 2
    assert "in use by process" in ran.err


def test_models_that_do_not_fit_leave_no_folder(profile: Profile, tmp_path: Path) -> None:
    ran = profile("--no-report", "--large", LARGE, "--small", str(tmp_path / "nope.gguf"))
    assert ran.code == 2
    assert not (tmp_path / "p-trajectories").exists()


def test_a_profile_without_a_cue_is_written_by_force_only(
    pair: Callable[[bool], None], profile: Profile, tmp_path: Path
) -> None:
    pair(False)  # one margin everywhere: nothing can be better than the rest
    ran = profile("--no-report")
    assert ran.code == 2
    assert "no profile is written" in ran.err
    assert not (tmp_path / "p.json").exists()
    forced = profile("--no-report", "--target-utilisation", "0.5", "--force")
    assert forced.code == 0
    assert "because of --force" in forced.err
    assert "not beyond chance" in "".join(profiles.load(tmp_path / "p.json").why.values())


def test_too_little_to_find_a_candidate_says_so(
    pair: Callable[[bool], None], profile: Profile
) -> None:
    pair(True)
    ran = profile("--limit", "3", "--no-report", "--force")
    assert ran.code == 2
    assert "nothing opens 10 sentences of 5 questions" in ran.err
    assert "because of --force" not in ran.err
    assert ran.out == ""


def test_force_does_not_claim_to_write_what_it_cannot(
    pair: Callable[[bool], None], profile: Profile, tmp_path: Path
) -> None:
    pair(False)
    ran = profile("--no-report", "--force")
    assert ran.code == 2
    assert "nothing that --force could write" in ran.err
    assert "because of --force" not in ran.err
    assert not (tmp_path / "p.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--large", "x.gguf"), "--small is missing"),
        (("--large", "http://127.0.0.1:9", "--small", SMALL), "--tokenizer"),
        (("--large", "host:8000", "--small", SMALL), "write http://host:8000"),
        (("--api-key-env", "RELAYGEN_NO_SUCH"), "RELAYGEN_NO_SUCH, and it is not set"),
        (("--fdr", "2"), "fdr is 2.0"),
        (("--margins", "guessed"), "'guessed'"),
        (("--no-discovery",), "leaves no candidates"),
        (("--cues", "nope"), "no cue profile"),
        (("--target-utilisation", "7", "--no-report"), "target utilisation is 7.0"),
    ],
)
def test_bad_input_is_one_line(profile: Profile, arguments: tuple[str, ...], says: str) -> None:
    ran = profile(*arguments)
    assert ran.code == 2
    assert says in ran.err
    assert "Traceback" not in ran.err
    assert "trajectories" not in ran.err  # it is refused before anything is written


def test_questions_are_needed_and_kept_apart_from_evaluation(
    cli: Cli, questions: Path, tmp_path: Path
) -> None:
    ran = cli("profile", "--large", LARGE, "--small", SMALL)
    assert ran.code == 2
    assert "--questions is missing" in ran.err
    ran = cli("profile", "--questions", str(questions), "--evaluation", str(questions))
    assert ran.code == 2
    assert "8 of 8 calibration questions are in the evaluation set" in ran.err
    assert list(tmp_path.glob("profile*")) == []


def test_show_names_cues_and_where_they_come_from(cli: Cli) -> None:
    ran = cli("profile", "show", "qwen3")
    assert ran.code == 0
    assert "28 cues of Qwen3-32B" in ran.out
    assert re.search(r"^'another,' +anywhere", ran.out, re.MULTILINE)
    assert cli("profile", "show", "nope").code == 2


def test_diff_and_merge(cli: Cli, tmp_path: Path) -> None:
    ran = cli("profile", "diff", "qwen3", "r1-distill")
    assert ran.code == 0
    assert "only qwen3:" in ran.out
    out = tmp_path / "both.json"
    assert cli("profile", "merge", "qwen3", "r1-distill", "-o", str(out)).code == 0
    merged = profiles.load(out)
    texts = {c.text for name in ("qwen3", "r1-distill") for c in profiles.load(name).cues}
    assert {cue.text for cue in merged.cues} == texts
    assert merged.name == "both"
    ran = cli("profile", "diff", "qwen3", str(out))
    assert "only qwen3: none" in ran.out


def test_a_profile_of_another_tokenizer_is_refused(cli: Cli, tmp_path: Path) -> None:
    tied = tmp_path / "tied.json"
    entry = json.loads(profiles.load("demo").to_json())
    tied.write_text(json.dumps({**entry, "tokenizer_fingerprint": "other"}), encoding="utf-8")
    ran = cli("run", "--cues", str(tied), "What is 2 and 3?")
    assert ran.code == 2
    assert Fingerprint.of(Tokenizer.load(LARGE)).hexdigest in ran.err
    assert "relaygen profile untie" in ran.err
    assert cli("profile", "untie", str(tied), "-o", str(tmp_path / "free.json")).code == 0
    free = profiles.load(tmp_path / "free.json")
    assert free.tokenizer_fingerprint is None
    assert free.cues == profiles.load("demo").cues
