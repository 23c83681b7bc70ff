"""The data that comes with the package, and how answers to it are graded."""

import pytest

from relaygen import demo_models
from relaygen.datasets import Question, check_apart, read_questions
from relaygen.demo_models.grading import boxed, is_right
from relaygen.profiles import load
from relaygen.tokens import Fingerprint, Tokenizer, compare


def test_the_last_box_counts() -> None:
    assert boxed(r"\boxed{1} and \boxed{ 2 }") == "2"
    assert boxed("no box") is None


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        ("405", r"The answer is \boxed{405}.", True),
        ("405", r"The answer is \boxed{406}.", False),
        ("405", "The answer is 405.", False),
        ("3.50", r"\boxed{$3.5}", True),
        ("1200", r"\boxed{1,200}", True),
        ("405", r"\boxed{four}", False),
    ],
)
def test_an_answer_is_right_if_its_box_holds_the_number(
    expected: str, answer: str, right: bool
) -> None:
    assert is_right(expected, answer) is right


def test_the_held_out_problems_are_whole_and_distinct() -> None:
    problems = (*demo_models.problems(), *demo_models.problems(unseen=True))
    assert len(problems) == 600
    assert len({problem.question for problem in problems}) == 600


def test_both_models_have_one_tokenizer_in_both_formats() -> None:
    files = (
        demo_models.gguf("large"),
        demo_models.gguf("small"),
        demo_models.hf_folder("large"),
        demo_models.hf_folder("small"),
    )
    first, *others = (Fingerprint.of(Tokenizer.load(file)) for file in files)
    for other in others:
        compare(first, other)


def test_the_profile_lists_the_true_cues() -> None:
    assert {cue.text for cue in load("demo").cues} == set(demo_models.cues())


def test_the_profile_was_measured_on_the_calibration_questions() -> None:
    profile = load("demo")
    questions = read_questions(demo_models.calibration())
    assert profile.provenance is not None
    assert profile.provenance.data_sha256 == questions.sha256
    assert profile.provenance.questions == len(questions.questions) == 400
    assert set(profile.statistics) == set(profile.why) == set(demo_models.cues())
    known = Fingerprint.of(Tokenizer.load(demo_models.gguf("large"))).hexdigest
    assert profile.tokenizer_fingerprint == known


def test_no_calibration_question_is_held_out() -> None:
    held_out = [
        Question(id=p.id, question=p.question)
        for p in (*demo_models.problems(), *demo_models.problems(unseen=True))
    ]
    check_apart(read_questions(demo_models.calibration()).questions, held_out, "held-out")
