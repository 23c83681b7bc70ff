"""Question files, and whether calibration and evaluation share questions."""

from relaygen.datasets.overlap import Overlap, check_apart, normalised, overlaps, text_hash
from relaygen.datasets.questions import Question, QuestionFile, read_questions

__all__ = [
    "Overlap",
    "Question",
    "QuestionFile",
    "check_apart",
    "normalised",
    "overlaps",
    "read_questions",
    "text_hash",
]
