"""``/v1/completions``: a raw prompt and the whole text, reasoning tags included."""

from __future__ import annotations

from relaygen.types import ModelRole
from tests.gateway.pairs import TEXT, pair, tokenizer
from tests.gateway.test_chat import Noting, first_leg


async def test_the_text_is_everything_the_machine_emitted() -> None:
    async with pair() as opened:
        reply = (await opened.client.complete("How many? <think>\n", max_tokens=300)).json
    choice = reply["choices"][0]
    assert (reply["object"], reply["id"][:5]) == ("text_completion", "cmpl-")
    assert (choice["text"], choice["finish_reason"]) == (TEXT, "stop")
    assert choice["relaygen"]["handoffs"] == 3
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


async def test_without_an_opened_tag_there_is_one_stage_and_sixteen_tokens() -> None:
    async with pair() as opened:
        reply = (await opened.client.complete("How many?")).json
    assert reply["usage"]["completion_tokens"] == 16
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["choices"][0]["relaygen"]["handoffs"] == 0


async def test_ids_go_to_the_engine_as_they_are_and_markup_in_text_is_markup() -> None:
    text = "<|im_start|>user\nHi<think>"
    ids = tokenizer().encode(text, parse_special=True)
    for prompt in (text, ids, [text], [ids]):
        async with pair(engine=Noting) as opened:
            reply = await opened.client.complete(prompt, model="pair:large")
            assert reply.status == 200
            assert list(first_leg(opened.engines[ModelRole.LARGE]).prompt) == ids


async def test_a_batch_has_the_choices_of_each_prompt_next_to_each_other() -> None:
    async with pair("Yes. It is.") as opened:
        reply = (await opened.client.complete(["One", "Number two"], n=2, seed=1)).json
        alone = (await opened.client.complete("One")).json
        events = (await opened.client.complete(["One", "Two"], stream=True)).events
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2, 3]
    assert {choice["text"] for choice in reply["choices"]} == {"Yes. It is."}
    counts = [len(tokenizer().encode(text, parse_special=True)) for text in ("One", "Number two")]
    assert reply["usage"]["prompt_tokens"] == sum(counts)
    assert alone["usage"]["prompt_tokens"] == counts[0]
    assert {e["choices"][0]["index"] for e in events[:-1]} == {0, 1}


async def test_engines_may_forget_every_generation_that_has_ended() -> None:
    ended: list[str] = []
    async with pair("Yes. It is.", forget=ended.append) as opened:
        for fields in ({"prompt": ["One", "Two"], "n": 2}, {"prompt": "One", "stream": True}):
            ended.clear()
            reply = await opened.client.complete(**fields)
            told = [reply.json] if "n" in fields else reply.events[:-1]
            choices = [choice for part in told for choice in part["choices"]]
            ids = [
                choice["relaygen"]["id"] for choice in choices if "id" in choice.get("relaygen", {})
            ]
            assert ended == ids
            assert len(set(ids)) == (4 if "n" in fields else 1)
        ended.clear()
        refused = await opened.client.complete("One", max_tokens=0)
        assert (refused.status, ended) == (400, [])


async def test_a_stream_says_what_the_whole_reply_says() -> None:
    options = {"include_usage": True}
    async with pair() as opened:
        whole = (await opened.client.complete("<think>\n", max_tokens=300)).json
        events = (
            await opened.client.complete(
                "<think>\n", max_tokens=300, stream=True, stream_options=options
            )
        ).events
    *chunks, finish, usage, done = events
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == TEXT
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"] == whole["usage"]


async def test_log_probabilities_are_four_lists_with_offsets_into_the_text() -> None:
    text = "Yes. 你好 it is."
    async with pair(text) as opened:
        whole = (await opened.client.complete("?", logprobs=1, return_token_ids=True)).json
        events = (
            await opened.client.complete("?", logprobs=1, return_token_ids=True, stream=True)
        ).events
    choice = whole["choices"][0]
    logprobs = choice["logprobs"]
    assert len({len(values) for values in logprobs.values()}) == 1
    assert len(choice["token_ids"]) == len(logprobs["tokens"]) + 1  # the end of sequence
    offsets = logprobs["text_offset"]
    assert offsets == sorted(offsets)
    for token, offset in zip(logprobs["tokens"], offsets, strict=True):
        if "\ufffd" not in token:
            assert text[offset:].startswith(token)
    assert all(len(top) == 1 for top in logprobs["top_logprobs"])
    streamed = [e["choices"][0] for e in events[:-1]]
    for name, values in logprobs.items():
        assert [v for c in streamed if c["logprobs"] for v in c["logprobs"][name]] == values
    assert [i for c in streamed for i in c.get("token_ids", [])] == choice["token_ids"]
    assert streamed[0]["prompt_token_ids"] == choice["prompt_token_ids"]


async def test_stop_strings_cut_the_text() -> None:
    async with pair("Yes. It is.") as opened:
        reply = (await opened.client.complete(stop=" It", logprobs=0)).json
    assert reply["choices"][0]["text"] == "Yes."
    assert "".join(reply["choices"][0]["logprobs"]["tokens"]) == "Yes."
