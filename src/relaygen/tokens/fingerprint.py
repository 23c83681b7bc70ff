"""Whether two models have the same tokenizer, so that token ids may pass between them.

Files of one family differ where it does not matter: the vocabulary is padded to other sizes, and
``tokenizer.json`` and GGUF store different things. So a fingerprint is taken from what a tokenizer
*does*: the bytes of each entry, whether it is special, and the ids of a fixed probe text.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from relaygen.errors import TokenizerMismatchError
from relaygen.tokens.probe import PROBE_VERSION, probe_text
from relaygen.tokens.tokenizer import Tokenizer

_REMEDY = "pair models of one family whose tokenizers are equal (`relaygen doctor` compares files)"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one id means.

    Attributes:
        data: the bytes it adds to the text.
        special: whether it is a control token.
    """

    data: bytes
    special: bool

    def __str__(self) -> str:
        text = self.data.decode("utf-8", errors="backslashreplace")
        return f"{text!r} ({'special' if self.special else 'not special'})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """What a tokenizer does.

    Attributes:
        origin: the file or model, for messages; not part of the digest.
        hexdigest: SHA-256 over all that follows; equal means the same tokenizer.
        entries: id to its meaning, without padding and unused entries.
        probe: the ids of the probe text.
    """

    origin: str
    hexdigest: str
    entries: Mapping[int, Entry] = field(repr=False, compare=False)
    probe: tuple[int, ...] = field(repr=False, compare=False)

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Fingerprint:
        """Takes the fingerprint; a fraction of a second for a vocabulary of 150,000."""
        entries = {
            token_id: Entry(tokenizer.token_bytes(token_id), tokenizer.is_special(token_id))
            for token_id in sorted(tokenizer.entry_ids)
        }
        specials = [e.data.decode("utf-8") for e in entries.values() if e.special]
        probe = tuple(tokenizer.encode(probe_text(specials), parse_special=True))
        return cls(
            origin=tokenizer.origin,
            hexdigest=_digest(entries, probe),
            entries=entries,
            probe=probe,
        )


def compare(a: Fingerprint, b: Fingerprint) -> None:
    """Returns if both are the same tokenizer.

    Raises:
        TokenizerMismatchError: they are not; names the first difference and what each has.
    """
    if a.hexdigest == b.hexdigest:
        return
    for token_id in sorted(a.entries.keys() | b.entries.keys()):
        of_a, of_b = a.entries.get(token_id), b.entries.get(token_id)
        if of_a != of_b:
            raise TokenizerMismatchError(
                f"the tokenizers of {a.origin} and {b.origin} differ: the id {token_id} is "
                f"{_describe(of_a)} in the first and {_describe(of_b)} in the second; {_REMEDY}"
            )
    position, text = _first_difference(a, b)
    raise TokenizerMismatchError(
        f"the tokenizers of {a.origin} and {b.origin} have equal entries and encode text "
        f"differently: after {text!r} (token {position} of the probe text) the first has "
        f"{_around(a, position)} and the second {_around(b, position)}: their merges or "
        f"pre-tokenizers differ; {_REMEDY}"
    )


def shared_ids(a: Fingerprint, b: Fingerprint) -> frozenset[int]:
    """Ids that mean the same in both; no other id may be sent from one model to the other."""
    return frozenset(i for i, entry in a.entries.items() if b.entries.get(i) == entry)


def _digest(entries: Mapping[int, Entry], probe: tuple[int, ...]) -> str:
    digest = hashlib.sha256(f"relaygen tokenizer {PROBE_VERSION}".encode())
    for token_id, entry in entries.items():
        digest.update(struct.pack("<IIB", token_id, len(entry.data), entry.special) + entry.data)
    digest.update(struct.pack(f"<{len(probe)}I", *probe))
    return digest.hexdigest()


def _describe(entry: Entry | None) -> str:
    return "no entry" if entry is None else str(entry)


def _first_difference(a: Fingerprint, b: Fingerprint) -> tuple[int, str]:
    pairs = enumerate(zip(a.probe, b.probe, strict=False))
    shorter = min(len(a.probe), len(b.probe))
    position = next((i for i, (x, y) in pairs if x != y), shorter)
    before = b"".join(a.entries[i].data for i in a.probe[max(0, position - 6) : position])
    return position, before.decode("utf-8", errors="replace")


def _around(fingerprint: Fingerprint, position: int) -> str:
    ids = fingerprint.probe[position : position + 3]
    pieces = (fingerprint.entries[i].data.decode("utf-8", errors="backslashreplace") for i in ids)
    return " + ".join(map(repr, pieces)) or "its end"
