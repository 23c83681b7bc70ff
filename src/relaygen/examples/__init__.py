"""Configurations to start from, ready to be checked: data, and how to find it."""

from __future__ import annotations

from importlib import resources

from relaygen.errors import SettingsError

__all__ = ["available", "text"]

_SUFFIXES = (".toml", ".yaml")


def available() -> tuple[str, ...]:
    """The names of the examples, sorted; each is the name of a file."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(f.name for f in files if f.name.endswith(_SUFFIXES)))


def text(name: str) -> str:
    """An example, whole.

    Raises:
        SettingsError: there is none of that name.
    """
    known = available()
    if name not in known:
        raise SettingsError(f"there is no example {name!r:.80}; there are {', '.join(known)}")
    return (resources.files(__name__) / name).read_text(encoding="utf-8")
