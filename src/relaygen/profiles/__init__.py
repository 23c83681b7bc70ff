"""Cue profiles that come with RelayGen: data, with their source in each file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from relaygen.errors import CueProfileError
from relaygen.relay.profile import MAX_JSON_LENGTH, CueProfile

__all__ = ["available", "load"]


def available() -> tuple[str, ...]:
    """The names of the packaged profiles, sorted."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(f.name.removesuffix(".json") for f in files if f.name.endswith(".json")))


def load(name_or_path: str | Path) -> CueProfile:
    """Loads a packaged profile by its name, or any other by the path of its JSON file.

    Raises:
        CueProfileError: there is no such profile, or it is not valid.
    """
    known = available()
    if name_or_path in known:
        return CueProfile.from_json(
            (resources.files(__name__) / f"{name_or_path}.json").read_text(encoding="utf-8")
        )
    path = Path(name_or_path)
    try:
        # Four bytes a character at most; what is longer is refused without being read.
        if path.stat().st_size > 4 * MAX_JSON_LENGTH:
            raise CueProfileError(f"cue profile {path} is too large to be one")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CueProfileError(
            f"no cue profile {str(name_or_path)!r:.300}: the packaged ones are "
            f"{', '.join(known)}; a file could not be read either ({error})"
        ) from error
    try:
        return CueProfile.from_json(text)
    except CueProfileError as error:
        raise CueProfileError(f"{path}: {error}") from error
