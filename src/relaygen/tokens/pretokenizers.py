r"""How text is cut before merging, by the name in a GGUF file (``tokenizer.ggml.pre``).

A GGUF file names its pre-tokenizer and does not describe it. Each entry here is what the family's
own ``tokenizer.json`` does, checked against llama.cpp's rule of the same name. A name that is not
in the table is refused: a wrong cut gives other tokens than the model was trained on, silently.

Source: llama.cpp, ``src/llama-vocab.cpp`` (names, flags), which also quotes the original patterns.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Regex, normalizers, pre_tokenizers

_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_MARKS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_EDGE = r"[^\r\n\p{L}\p{N}]?"

_LLAMA3 = rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1,3}}|{_MARKS}|{_SPACES}"
_QWEN2 = rf"{_CONTRACTION}|{_WORD}|\p{{N}}|{_MARKS}|{_SPACES}"
_QWEN35 = rf"{_CONTRACTION}|{_EDGE}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
_GPT4O = (
    rf"{_EDGE}{_UPPER}*{_LOWER}+{_CONTRACTION}?|{_EDGE}{_UPPER}+{_LOWER}*{_CONTRACTION}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)
_TEKKEN = (
    rf"{_EDGE}{_UPPER}*{_LOWER}+|{_EDGE}{_UPPER}+{_LOWER}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)
_SEED = rf"{_CONTRACTION}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}"
_BAILING = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    r"[一-龥\u3040-ゟ゠-ヿ]+".replace(r"\u3040", "\u3040"),
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PreTokenizer:
    """One rule of the table.

    Attributes:
        patterns: applied one after the other, each to the pieces that the one before left; empty
            means GPT-2's own pattern.
        digits_alone: every digit is a piece of its own, before GPT-2's pattern.
        nfc: the family normalises text to NFC first.
        ignore_merges: a piece that is an entry as a whole is taken as it is.
        add_bos: the default where the file does not say.
    """

    patterns: tuple[str, ...] = ()
    digits_alone: bool = False
    nfc: bool = False
    ignore_merges: bool = False
    add_bos: bool = False

    def build(self) -> pre_tokenizers.PreTokenizer:
        """The same as an object of the `tokenizers` library."""
        steps: list[pre_tokenizers.PreTokenizer] = [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in self.patterns
        ]
        if self.digits_alone:
            steps.append(pre_tokenizers.Digits(individual_digits=True))
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not self.patterns))
        return pre_tokenizers.Sequence(steps)

    def normalizer(self) -> normalizers.Normalizer | None:
        """The normaliser, or None."""
        return normalizers.NFC() if self.nfc else None


_GPT2 = PreTokenizer()
_DIGITS = PreTokenizer(digits_alone=True)
_CL100K = PreTokenizer(patterns=(_LLAMA3,))
_LLAMA_BPE = PreTokenizer(patterns=(_LLAMA3,), ignore_merges=True, add_bos=True)
_O200K = PreTokenizer(patterns=(_GPT4O,))

PRE_TOKENIZERS: dict[str, PreTokenizer] = {
    "qwen2": PreTokenizer(patterns=(_QWEN2,), nfc=True),
    "qwen35": PreTokenizer(patterns=(_QWEN35,), nfc=True),
    "deepseek-r1-qwen": PreTokenizer(patterns=(_QWEN2,)),
    "megrez": PreTokenizer(patterns=(_QWEN2,)),
    "hunyuan": PreTokenizer(patterns=(_QWEN2,)),
    "solar-open": PreTokenizer(patterns=(_QWEN2,)),
    "deepseek-v3": PreTokenizer(patterns=_DEEPSEEK3),
    "hunyuan-dense": PreTokenizer(patterns=_DEEPSEEK3),
    "llama-bpe": _LLAMA_BPE,
    "llama3": _LLAMA_BPE,
    "llama-v3": _LLAMA_BPE,
    "falcon3": _LLAMA_BPE,
    "falcon-h1": _LLAMA_BPE,
    "lfm2": _LLAMA_BPE,
    "dbrx": _CL100K,
    "smaug-bpe": _CL100K,
    "glm4": _CL100K,
    "chatglm-bpe": _CL100K,
    "tekken": PreTokenizer(patterns=(_TEKKEN,), ignore_merges=True, add_bos=True),
    "gpt-4o": _O200K,
    "llama4": _O200K,
    "minimax-m2": _O200K,
    "seed-coder": PreTokenizer(patterns=(_SEED,)),
    "bailingmoe": PreTokenizer(patterns=(_BAILING,)),
    "bailingmoe2": PreTokenizer(patterns=(_BAILING,)),
    "gpt-2": _GPT2,
    "olmo": _GPT2,
    "exaone4": _GPT2,
    "exaone": _DIGITS,
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "refact": _DIGITS,
    "command-r": PreTokenizer(digits_alone=True, nfc=True),
}
"""Value of ``tokenizer.ggml.pre`` -> the rule."""
