"""Runs a plan: all choices at once, sent while they are written or when all have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

from relaygen.errors import ProtocolError
from relaygen.gateway.exchange import Ended, Exchange
from relaygen.gateway.keep_alive import KeepAlive
from relaygen.gateway.metrics import Metrics
from relaygen.gateway.outbox import Outbox
from relaygen.gateway.plan import Plan
from relaygen.gateway.replies.form import DONE, ChoiceEvents
from relaygen.gateway.replies.totals import usage_reply
from relaygen.gateway.sending import Sender
from relaygen.relay.events import Emitted
from relaygen.runner import Result


class Serving:
    """One request on its way."""

    def __init__(
        self,
        plan: Plan,
        exchange: Exchange,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        keepalive_s: float = 0.0,
    ) -> None:
        """`keepalive_s`: see `ServerSettings`."""
        self._plan = plan
        self._exchange = exchange
        self._metrics = metrics
        self._clock = clock
        self._keepalive_s = keepalive_s

    async def send_whole(self, sender: Sender) -> None:
        """Sends one JSON object when all choices have ended.

        Raises:
            RelayGenError: a choice failed.
        """
        form = self._plan.form
        texts = [form.text(index) for index in range(len(self._plan.streams))]
        tasks = [
            asyncio.ensure_future(self._follow(index, text.take))
            for index, text in enumerate(texts)
        ]
        try:
            results = await asyncio.gather(*tasks)
        finally:
            await _stop(tasks)
        choices = [text.finish(result) for text, result in zip(texts, results, strict=True)]
        usage = usage_reply(results, self._plan.choices_per_prompt)
        await sender.send_json(200, form.whole(choices, usage))

    async def send_events(self, sender: Sender) -> None:
        """Sends server-sent events. The response begins with the first of them, or a comment.

        Raises:
            RelayGenError: a choice failed; before the response began, or after.
        """
        form, streams = self._plan.form, self._plan.streams
        outbox = Outbox(len(streams))
        results: list[Result | None] = [None] * len(streams)
        tasks = [
            asyncio.ensure_future(self._write(index, form.events(index), outbox, results))
            for index in range(len(streams))
        ]
        try:
            with KeepAlive(outbox, self._keepalive_s) as keep_alive:
                while data := await outbox.take():
                    await sender.send_event(data)
                    keep_alive.sent()
        finally:
            await _stop(tasks)
        end = DONE
        if form.head.usage:
            ended = [result for result in results if result is not None]
            end = form.head.usage_event(usage_reply(ended, self._plan.choices_per_prompt)) + DONE
        await sender.send_event(end)
        await sender.end_events()

    async def _write(
        self, index: int, events: ChoiceEvents, outbox: Outbox, results: list[Result | None]
    ) -> None:
        try:
            result = await self._follow(index, lambda part: outbox.put(events.take(part)), outbox)
            results[index] = result
            outbox.put(events.finish(result))
        except Exception as error:  # noqa: BLE001 - whoever reads the outbox raises it again
            outbox.fail(error)
        else:
            outbox.close()

    async def _follow(
        self, index: int, take: Callable[[Emitted], None], outbox: Outbox | None = None
    ) -> Result:
        """Reads one choice to its end; it is counted also where that is not reached."""
        stream = self._plan.streams[index]
        exchange, clock, between = self._exchange, self._clock, self._metrics.between_texts
        last = 0.0
        try:
            async with aclosing(stream):
                async for part in stream:
                    now = clock()
                    if last:
                        between.add(now - last)
                    elif exchange.first_text_s is None:
                        exchange.first_text_s = now - exchange.started
                    last = now
                    take(part)
                    if outbox is not None and outbox.full:
                        await outbox.room()
        finally:
            with suppress(ProtocolError):  # it was never begun
                ended = Ended(index=index, began=stream.began, result=stream.result)
                self._metrics.generation_ended(ended.result)
                exchange.ended.append(ended)
        stream.raise_for_failure()
        return stream.result


async def _stop(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancels what still runs, and waits until it has let go of the engines."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
