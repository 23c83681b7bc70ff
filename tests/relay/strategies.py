"""Random relays: vocabularies, writers, configurations, cues and stop strings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from relaygen.engines.simulated import ByteVocabulary
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import CuePosition, SwitchCue
from relaygen.relay.generation import Generation, ReasoningTags, WriterFacts
from relaygen.relay.machine import RelayMachine
from relaygen.relay.policies import make_policy
from relaygen.relay.policy import Policy
from relaygen.types import ModelRole, Stage, TokenScore
from tests.relay.driving import LARGE, SMALL, Break, Writer
from tests.relay.peer_policies import PEERS

PROMPT = (81, 58)
SPECIALS = ("<think>", "</think>", "<|im_end|>")
# What matters to a relay, whole and in pieces, among text of all kinds.
WORDS: tuple[str | bytes, ...] = (
    "So", "So,", " So,", "Thus", "Thus,", " Now", "Now", " now", "know", "S", "o,",
    ".", ". ", "!", "?", "!)", "\n\n", "\n", ".\n\n", ". So", "。", "，", "3.14", "1. ", "e.g.",
    " ", "$", "\\(", "\\)", "```", "**", "a", " b", " word", "é", "☃", "👩‍🔬", "e\u0301",
    "</", "think", ">", "<", "></", "/think>", "</th", "x</", "ink>y", "<th",
    ".\n\n<", "。<", "! </", b"So\xe2", b"Thus\xe2\x98", b".\xe2", b"Now \xe2\x98",
    b"\xe2", b"\x98\x83", b"\xe2\x98", b"\x83", b" \xe2\x98", b"\x83 x", b"\x83.", b"\xff", b"\xf0\x9f",
)  # fmt: skip
# What most relays should hold, so that words are passed to and fro.
CORE = ("So", " So,", "Thus", " Now", ". So", ".", ".", ". ", "\n\n", " word", "。", b" \xe2\x98")
CUES = ("So", "So,", "Thus", "Thus,", "Now", "now", "S", "Thus ", "b")
STOPS = (".", "So", "☃", "\n\n", "ab", ". ", "think", "é", " b a")


@st.composite
def cues(draw: st.DrawFn) -> list[SwitchCue]:
    texts = draw(st.lists(st.sampled_from(CUES), unique=True, min_size=2, max_size=6))
    return [
        SwitchCue(
            text=text,
            position=draw(st.sampled_from(CuePosition)),
            confirm_tokens=draw(st.integers(0, 1)),
        )
        for text in texts
    ]


configs = st.builds(
    RelayConfig,
    max_small_tokens=st.integers(1, 12),
    min_small_tokens=st.integers(0, 6),
    max_small_run=st.integers(1, 4),
    min_reasoning_tokens=st.sampled_from([0, 3, 64]),
    small_may_end_reasoning=st.booleans(),
    force_answer=st.booleans(),
    answer_role=st.sampled_from([None, LARGE, SMALL]),
    mute_tokens=st.sampled_from([0, 0, 2]),
    read_ahead=st.sampled_from([0, 0, 3]),
)

breaks = st.dictionaries(
    st.integers(0, 8),
    st.builds(Break, after=st.integers(0, 6), retryable=st.booleans()),
    max_size=3,
)


@dataclass(frozen=True)
class Relay:
    """All that decides a play, except how its tokens arrive."""

    vocabulary: ByteVocabulary
    generation: Generation
    policy: Callable[[], Policy]
    config: RelayConfig
    palette: tuple[int, ...]
    seed: int

    def machine(self) -> RelayMachine:
        return RelayMachine(self.generation, self.vocabulary, self.policy(), self.config)

    def writers(self) -> dict[ModelRole, Writer]:
        return {role: self._writer(role) for role in ModelRole}

    def score(self, prefix: Sequence[int]) -> TokenScore:
        noise = self._hash("score", prefix) / 2**32
        return TokenScore(logprob=-noise, margin=noise, entropy=2 * noise)

    def _writer(self, role: ModelRole) -> Writer:
        """A function of the last tokens and the place; now and then the models disagree."""

        def write(prefix: Sequence[int]) -> int:
            own = role if self._hash("own", prefix) % 4 == 0 else "both"
            return self.palette[self._hash(str(own), prefix) % len(self.palette)]

        return write

    def _hash(self, salt: str, prefix: Sequence[int]) -> int:
        context = f"{self.seed}/{salt}/{len(prefix)}/{tuple(prefix[-3:])}".encode()
        return int.from_bytes(hashlib.blake2b(context, digest_size=4).digest(), "little")


@st.composite
def relays(draw: st.DrawFn, policies: Sequence[str] = ()) -> Relay:
    odd = draw(st.lists(st.text(min_size=1, max_size=4), max_size=5))
    words = [w for w in (*WORDS, *odd) if len(w if isinstance(w, bytes) else w.encode()) > 1]
    vocabulary = ByteVocabulary(words, specials=SPECIALS)
    eos, close = vocabulary.eos_id, vocabulary.token_id("</think>")
    chosen = draw(
        st.lists(st.integers(0, len(vocabulary) - len(SPECIALS) - 1), min_size=1, max_size=8)
    )
    favourites = draw(st.lists(st.sampled_from(words), max_size=12))
    favourites += draw(st.lists(st.sampled_from(CORE), min_size=4, max_size=24))
    palette = [*chosen, *(_id(vocabulary, word) for word in favourites)]
    palette += [eos] * draw(st.integers(0, 1)) + [close] * draw(st.integers(0, 2))
    tags = draw(st.sampled_from(["token", "text", None]))
    stage = draw(st.sampled_from([Stage.REASONING, Stage.REASONING, None, Stage.ANSWER]))
    if stage is None and tags:
        palette += [vocabulary.token_id("<think>")] * 5
    unshared = set(draw(st.just([]) | st.lists(st.sampled_from(palette), max_size=2)))
    unshared -= set(PROMPT)  # such a prompt is refused
    generation = Generation(
        prompt=PROMPT,
        max_tokens=draw(st.integers(1, 20) | st.integers(60, 150)),
        writers={
            LARGE: WriterFacts(eos_ids=frozenset({eos})),
            SMALL: WriterFacts(eos_ids=frozenset({eos})),
        },
        tags=_tags(vocabulary, tags),
        first_stage=stage if tags else None,
        stop=tuple(draw(st.lists(st.sampled_from(STOPS), max_size=2, unique=True))),
        seed=draw(st.none() | st.integers(0, 2**32)),
        want_scores=draw(st.booleans()),
        shared_ids=set(range(len(vocabulary))) - unshared if unshared else None,
    )
    config = draw(configs)
    found = draw(cues())
    names = policies or ("relay", "relay", "random", "paper", "small", *(p.__name__ for p in PEERS))
    name = draw(st.sampled_from(names))
    peers = {peer.__name__: peer for peer in PEERS}

    def policy() -> Policy:
        if name in peers:
            return peers[name](found, config)
        return make_policy(name, found, config)

    return Relay(vocabulary, generation, policy, config, tuple(palette), draw(st.integers(0, 999)))


def _id(vocabulary: ByteVocabulary, word: str | bytes) -> int:
    data = word.encode() if isinstance(word, str) else word
    return next(i for i in range(len(vocabulary)) if vocabulary.token_bytes(i) == data)


def _tags(vocabulary: ByteVocabulary, kind: str | None) -> ReasoningTags | None:
    if kind is None:
        return None
    close = vocabulary.token_id("</think>")
    if kind == "token":
        return ReasoningTags(close_id=close, forced_close_ids=(close,))
    return ReasoningTags(forced_close_ids=tuple(vocabulary.encode("</think>", allow_special=False)))
