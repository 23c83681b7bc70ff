"""Trains the byte-level BPE tokenizer that both models share, and writes it in the Hugging Face layout."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.stories import draw_problem
from training.traces import write_completion

VOCAB_SIZE = 1024
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
THINK_START, THINK_END = "<think>", "</think>"

# Qwen2's pre-tokenizer: each digit alone, punctuation together with the line breaks after it.
_QWEN2_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# A little text that is not a story, so that ordinary English is not spelled out byte by byte.
_GENERAL = """
You are a helpful assistant. Please reason step by step, and put your final answer within \\boxed{}.
Hello! How are you today? Thank you very much, that is kind of you. What can you do for me? Who made you?
Question: which of the following is the correct answer? Answer with the letter only, and explain the reason.
The weather was fine, and the people of the town went down to the river with their children and their dogs.
It has been said that the first thing to learn is how to ask; the second is when to stop asking and to act.
In the year when the bridge was built, there were about two thousand houses, a school, a mill and three shops.
A function takes an argument and returns a value: def add(a, b): return a + b. for item in list: print(item)
{"name": "get_weather", "arguments": {"city": "Paris", "unit": "celsius"}}  <tool_call> </tool_call> <tools>
If we know that x is larger than y, then it also follows that y is smaller than x. Therefore the claim is true.
She could not have known it at that time, but every word which he wrote would later be read by someone else.
This is a test. These are words, numbers such as 1, 2 and 3.14, and marks: (a), [b], "c", 'd', e-mail, 50 %.
"""


def _texts(count: int, seed: int) -> Iterator[str]:
    for index in range(count):
        problem = draw_problem(seed, "tokenizer", index)
        rng = random.Random(f"{seed}/wording/{index}")
        yield problem.question
        yield "".join(sentence.text for sentence in write_completion(problem, rng))
    for _ in range(count // 20):
        yield _GENERAL


def train_tokenizer(*, stories: int = 6000, seed: int = 0) -> Tokenizer:
    """Trains the tokenizer on drawn stories and a little general English.

    The byte alphabet is part of the vocabulary, so every text can be encoded. Unlike Qwen's it does not normalise
    Unicode first: llama.cpp does not either, and both must encode every text alike.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - 5,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(stories, seed), trainer)
    # Added after training, as in Qwen's files: their ids follow the vocabulary's.
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True) for t in (END_OF_TEXT, TURN_START, TURN_END)]
    )
    tokenizer.add_tokens(
        [AddedToken(t, special=False, normalized=False) for t in (THINK_START, THINK_END)]
    )
    return tokenizer


def chat_template() -> str:
    """The ChatML template with reasoning tags, as Jinja."""
    return Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8").rstrip("\n")


def tokenizer_config() -> dict[str, object]:
    """The `tokenizer_config.json` that goes with the tokenizer."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "add_bos_token": False,
        "bos_token": None,
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": False,
        "model_max_length": 2048,
        "errors": "replace",
        "chat_template": chat_template(),
    }


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes `tokenizer.json` and `tokenizer_config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = json.dumps(tokenizer_config(), indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(config + "\n", encoding="utf-8")
