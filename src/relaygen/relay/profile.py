"""Cue profiles: which cues are safe for a pair of models, and how that is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from relaygen.errors import CueProfileError
from relaygen.relay.cues import CuePosition, SwitchCue
from relaygen.relay.provenance import Provenance

SCHEMA_VERSION: Final = 1
MAX_CUES: Final = 1024
MAX_JSON_LENGTH: Final = 4_000_000
"""Characters; far above what a profile with all its statistics needs."""

_MAX_NAME: Final = 200
_MAX_PROSE: Final = 20_000


class _CueJson(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    text: str
    position: CuePosition = CuePosition.SENTENCE
    confirm_tokens: int = 0
    statistics: dict[str, float] = msgspec.field(default_factory=dict)
    why: str = ""


class _ProfileJson(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema_version: int
    name: str
    large_model: str
    small_model: str
    source: str
    cues: list[_CueJson]
    notes: str = ""
    tokenizer_fingerprint: str | None = None
    provenance: Provenance | None = None


class _Header(msgspec.Struct, frozen=True):
    schema_version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CueProfile:
    """The cues of a pair of models.

    Attributes:
        name: what `relaygen.profiles.load` finds it by, if it is a packaged one.
        cues: in the order of the source; no text twice.
        large_model: the model whose text is matched.
        small_model: the model that the cues hand over to.
        source: where the list is from.
        notes: for the reader.
        tokenizer_fingerprint: of the tokenizer that it was profiled with; None if it is a list of
            texts that no profiling stands behind.
        statistics: by cue text, named figures of the profiler.
        why: by cue text, why the profiler took it.
        provenance: how it was measured; None for a list that was not.
        schema_version: of the JSON form.

    Raises:
        CueProfileError: no cue, a cue twice, a text too long, statistics or reasons of no listed
            cue.
    """

    name: str
    cues: tuple[SwitchCue, ...]
    large_model: str
    small_model: str
    source: str
    notes: str = ""
    tokenizer_fingerprint: str | None = None
    statistics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        _check_version(self.schema_version)
        limits = {"name": _MAX_NAME, "large_model": _MAX_NAME, "small_model": _MAX_NAME}
        for attribute in ("name", "large_model", "small_model", "source"):
            value = getattr(self, attribute)
            limit = limits.get(attribute, _MAX_PROSE)
            if not value.strip() or len(value) > limit:
                raise CueProfileError(
                    f"{attribute} has {len(value)} characters; it needs 1 to {limit} visible ones"
                )
        if len(self.notes) > _MAX_PROSE:
            raise CueProfileError(f"notes has {len(self.notes)} characters, above {_MAX_PROSE}")
        if not 0 < len(self.cues) <= MAX_CUES:
            raise CueProfileError(f"{len(self.cues)} cues; a profile holds 1 to {MAX_CUES}")
        seen: set[str] = set()
        for number, cue in enumerate(self.cues):
            if cue.text in seen:
                raise CueProfileError(f"cues[{number}]: {cue.text!r} is listed twice")
            seen.add(cue.text)
        unknown = sorted((set(self.statistics) | set(self.why)) - seen)
        if unknown:
            raise CueProfileError(f"statistics of {unknown[0]!r:.80}, which is none of the cues")
        for text, reason in self.why.items():
            if len(reason) > _MAX_PROSE:
                raise CueProfileError(f"why {text!r} was taken has {len(reason)} characters")
        for text, figures in self.statistics.items():
            for key, value in figures.items():
                if not math.isfinite(value):
                    raise CueProfileError(f"statistic {key!r} of {text!r} is {value}, no number")
        if not all(map(math.isfinite, _figures(self.provenance))):
            raise CueProfileError("the provenance holds a figure that is no number")

    @classmethod
    def from_json(cls, text: str) -> CueProfile:
        """Reads the JSON form.

        Raises:
            CueProfileError: it is no valid profile; says what is wrong, and where.
        """
        if len(text) > MAX_JSON_LENGTH:
            raise CueProfileError(
                f"a profile of {len(text)} characters; at most {MAX_JSON_LENGTH} are read"
            )
        try:
            _check_version(msgspec.json.decode(text, type=_Header).schema_version)
            wire = msgspec.json.decode(text, type=_ProfileJson)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise CueProfileError(f"not a valid cue profile: {error}") from error
        return cls(
            name=wire.name,
            cues=tuple(_cue(number, cue) for number, cue in enumerate(wire.cues)),
            large_model=wire.large_model,
            small_model=wire.small_model,
            source=wire.source,
            notes=wire.notes,
            tokenizer_fingerprint=wire.tokenizer_fingerprint,
            statistics={cue.text: cue.statistics for cue in wire.cues if cue.statistics},
            why={cue.text: cue.why for cue in wire.cues if cue.why},
            provenance=wire.provenance,
            schema_version=wire.schema_version,
        )

    def to_json(self) -> str:
        """The JSON form, indented, ending in a line break. `from_json` reads back an equal one."""
        wire = _ProfileJson(
            schema_version=self.schema_version,
            name=self.name,
            large_model=self.large_model,
            small_model=self.small_model,
            source=self.source,
            notes=self.notes,
            tokenizer_fingerprint=self.tokenizer_fingerprint,
            cues=[
                _CueJson(
                    text=cue.text,
                    position=cue.position,
                    confirm_tokens=cue.confirm_tokens,
                    statistics=dict(self.statistics.get(cue.text, {})),
                    why=self.why.get(cue.text, ""),
                )
                for cue in self.cues
            ],
            provenance=self.provenance,
        )
        return msgspec.json.format(msgspec.json.encode(wire), indent=2).decode() + "\n"

    def untied(self) -> CueProfile:
        """The same cues for any tokenizer: for who knows better than the fingerprint."""
        return replace(self, tokenizer_fingerprint=None)

    def check_fingerprint(self, fingerprint: str, force: bool = False) -> None:
        """Checks that the profile was made with this tokenizer.

        A profile without a fingerprint is tied to none and always passes.

        Args:
            fingerprint: of the tokenizer at hand.
            force: use the profile in any case.

        Raises:
            CueProfileError: it belongs to another tokenizer.
        """
        own = self.tokenizer_fingerprint
        if own is not None and own != fingerprint and not force:
            raise CueProfileError(
                f"cue profile {self.name!r} was made for a tokenizer with fingerprint {own!r}, "
                f"this one has {fingerprint!r}; profile this pair, or use it all the same: "
                "`relaygen profile untie`, or `CueProfile.untied()`"
            )


def _figures(provenance: Provenance | None) -> list[float]:
    if provenance is None:
        return []
    return [
        provenance.utilisation,
        provenance.agreement or 0.0,
        *map(float, provenance.sampling.values()),
    ]


def _cue(number: int, wire: _CueJson) -> SwitchCue:
    try:
        return SwitchCue(text=wire.text, position=wire.position, confirm_tokens=wire.confirm_tokens)
    except CueProfileError as error:
        raise CueProfileError(f"cues[{number}]: {error}") from error


def _check_version(version: Any) -> None:
    if version != SCHEMA_VERSION:
        raise CueProfileError(
            f"schema_version is {version!r}; this version of RelayGen reads {SCHEMA_VERSION}"
        )
