from __future__ import annotations

import json

import pytest
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from relaygen.tokens import Tokenizer
from tests.chat.families import EXTRA_MARKUP
from tests.tokens.tiny_models import train, write_json


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    backend = Backend.from_str(train())
    backend.add_special_tokens([AddedToken(text, special=True) for text in EXTRA_MARKUP])
    config = json.loads('{"bos_token": "<s>", "eos_token": "<|im_end|>"}')
    folder = tmp_path_factory.mktemp("chat") / "tiny"
    return Tokenizer.load(write_json(folder, backend.to_str(), config))
