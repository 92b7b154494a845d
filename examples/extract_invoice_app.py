"""An async application that reads invoices, several at once, and never retries.

``Extractor`` stands where a web handler would call it: ``await extractor.extract(letter)``. What
comes in while the model is busy waits in a queue and is decoded together as one batch. An
invoice that cannot be read fails alone: here one letter is longer than the model's context window.

The schema guarantees the shape of every answer. Whether a small model found the right number
is another question: an application checks that the total occurs in the letter, as below.

    python examples/extract_invoice_app.py
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from decodeplug import DecodeplugError, Host, Request
from pydantic import BaseModel, Field

LETTERS = {
    "garden": "Green Garden Ltd. Invoice GG-1042. Two apple trees and one rake. Please pay 94.50 EUR by 2025-03-31.",
    "books": "Corner Books. Your order of three novels. Invoice number 77123. Amount due: 38.20 GBP.",
    "too long": "This letter has no end. " * 3000,
}


class Invoice(BaseModel):
    """What the application books."""

    number: Annotated[str, Field(pattern="^[A-Z0-9-]{1,12}$")]
    total: Annotated[str, Field(pattern="^[0-9]{1,5}\\.[0-9]{2}$")]
    currency: Literal["EUR", "GBP", "USD"]


@dataclass
class Order:
    """A letter that waits, and where its invoice goes."""

    request: Request
    invoice: asyncio.Future[Invoice]


class Extractor:
    """Reads letters in batches. ``async with`` starts and stops it."""

    def __init__(self, host: Host, *, most: int = 8, max_new_tokens: int = 60) -> None:
        self._host, self._most, self._max_new_tokens = host, most, max_new_tokens
        self._waiting: asyncio.Queue[Order] = asyncio.Queue()

    async def __aenter__(self) -> Extractor:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)

    async def extract(self, letter: str) -> Invoice:
        """The invoice in a letter.

        :raises DecodeplugError: The request was refused, as where the budget is too small, or failed.
        """
        question = f"{letter}\n\nExtract the invoice number, the total and the currency as JSON."
        messages = [{"role": "user", "content": question}]
        request = Request(messages, constraint=Invoice, max_new_tokens=self._max_new_tokens)
        order = Order(request, asyncio.get_running_loop().create_future())
        await self._waiting.put(order)
        return await order.invoice

    async def _work(self) -> None:
        while True:
            orders = [await self._waiting.get()]
            while not self._waiting.empty() and len(orders) < self._most:
                orders.append(self._waiting.get_nowait())
            # The event loop goes on while the model runs in a thread.
            for order, outcome in zip(orders, await asyncio.to_thread(self._outcomes, orders), strict=True):
                if order.invoice.done():  # the caller has gone
                    continue
                if isinstance(outcome, BaseException):
                    order.invoice.set_exception(outcome)
                else:
                    order.invoice.set_result(outcome)

    def _outcomes(self, orders: Sequence[Order]) -> list[Invoice | BaseException]:
        """For each order its invoice, or why there is none."""
        try:
            results = self._host.generate_batch([order.request for order in orders], return_errors=True)
        except Exception as error:  # the model itself failed, and with it everybody
            return [error for _ in orders]
        return [result.error or result.value for result in results]  # a text is complete, or refused at the start


async def read(extractor: Extractor, name: str, letter: str) -> str:
    """One line about one letter: what a handler would answer."""
    try:
        invoice = await extractor.extract(letter)
    except DecodeplugError as error:
        return f"{name}: not read, {type(error).__name__}: {error}"
    doubt = "" if invoice.total in letter else " (this total does not occur in the letter: have it checked)"
    return f"{name}: number {invoice.number}, {invoice.total} {invoice.currency}{doubt}"


async def app(host: Host, max_new_tokens: int) -> list[str]:
    """Read all letters at once."""
    async with Extractor(host, max_new_tokens=max_new_tokens) as extractor:
        return await asyncio.gather(*(read(extractor, name, letter) for name, letter in LETTERS.items()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the application once."""
    parser = argparse.ArgumentParser(
        description="An async application that reads invoices, several at once, and never retries."
    )
    parser.add_argument("--model", default="smollm2", help="hub id, local folder, or smollm2, the embedded default")
    parser.add_argument("--max-new-tokens", type=int, default=60)
    given = parser.parse_args(arguments)
    with Host.from_pretrained(given.model) as host:
        for line in asyncio.run(app(host, given.max_new_tokens)):
            print(line)


if __name__ == "__main__":
    main()
