"""From the options of ``relaygen profile`` to models, questions and candidates."""

from __future__ import annotations

from importlib.util import find_spec

from relaygen import demo_models, profiles
from relaygen.cli.profile_options import DataOptions, ModelOptions, RuleOptions
from relaygen.datasets import QuestionFile, check_apart, read_questions
from relaygen.errors import InvalidRequestError, MissingExtraError
from relaygen.profiling.models import Source
from relaygen.relay.cues import SwitchCue
from relaygen.settings import named_key


def check_extra(*, report: bool) -> None:
    """Says which package of the extra is missing, before any work is done.

    Raises:
        MissingExtraError: one is.
    """
    for package in ("scipy", *(("matplotlib",) if report else ())):
        if find_spec(package) is None:
            raise MissingExtraError(
                f"profiling needs {package}: pip install 'relaygen[profile]'"
                + (" (or leave the report out: --no-report)" if package == "matplotlib" else "")
            )


def sources_of(models: ModelOptions) -> tuple[Source, Source]:
    """Where the two models are.

    Raises:
        InvalidRequestError: one is given without the other.
        SettingsError: the named variable with the servers' key is not set.
    """
    if (models.large is None) != (models.small is None):
        missing = "small" if models.small is None else "large"
        raise InvalidRequestError(
            f"--{missing} is missing: a profile is of two models; give both, or none for the "
            "embedded pair",
            param=missing,
        )
    places = [models.large, models.small]
    names = [models.large_name, models.small_name]
    if models.large is None:
        places = [str(demo_models.gguf("large")), str(demo_models.gguf("small"))]
        names = [names[0] or "relaygen-demo-large", names[1] or "relaygen-demo-small"]
    key = named_key(models.api_key_env, "--api-key-env")
    keys = [key, named_key(models.small_api_key_env, "--small-api-key-env") or key]
    large, small = (
        Source(
            place=str(place),
            name=name,
            tokenizer=models.tokenizer,
            context_tokens=models.context_tokens,
            threads=models.threads,
            gpu_layers=models.gpu_layers,
            api_key=key,
        )
        for place, name, key in zip(places, names, keys, strict=True)
    )
    return large, small


def questions_of(data: DataOptions, *, embedded: bool) -> QuestionFile:
    """The questions, once it is known that no evaluation set has them.

    Raises:
        DatasetError: a file is bad, or some questions are in both.
        InvalidRequestError: there is no file.
    """
    if data.margins not in ("scored", "written"):
        raise InvalidRequestError(
            f"--margins is {data.margins!r:.40}; it must be 'scored' or 'written'", param="margins"
        )
    if data.questions is None and not embedded:
        raise InvalidRequestError(
            "--questions is missing: give a file with calibration questions, one JSON object a line",
            param="questions",
        )
    found = read_questions(data.questions or demo_models.calibration())
    for file in data.evaluation:
        check_apart(found.questions, read_questions(file).questions, str(file))
    return found


def given_cues(rule: RuleOptions) -> tuple[SwitchCue, ...]:
    """The cues to test in any case.

    Raises:
        CueProfileError: one cannot be matched, or there is no such profile.
        InvalidRequestError: there would be nothing to test.
    """
    cues = list(profiles.load(rule.cues).cues) if rule.cues else []
    cues += [SwitchCue(text=text) for text in rule.cue]
    if rule.no_discovery and not cues:
        raise InvalidRequestError(
            "--no-discovery leaves no candidates: give some with --cues or --cue", param="cue"
        )
    return tuple({cue.text: cue for cue in reversed(cues)}.values())[::-1]
