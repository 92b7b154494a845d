"""A schema with rules that no mask knows, read before it is used: how each keyword is enforced, and how many tokens it takes.

A booking has no guest twice, and whoever comes for lunch says which dish. Before the model is asked, the schema
is explained keyword by keyword, and the budget is asked for: too small a one is refused before the first token.

    python examples/table_booking.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from decodeplug import BudgetTooSmall, Host, json_schema
from decodeplug.constraints import explain

BOOKING: dict[str, Any] = {
    "type": "object",
    "properties": {
        "meal": {"enum": ["lunch", "dinner"]},
        "day": {"type": "string", "format": "date"},
        "guests": {
            "type": "array",
            "items": {"type": "string", "pattern": "^[A-Z][a-z]{1,9}$"},
            "minItems": 2,
            "maxItems": 4,
            "uniqueItems": True,
        },
        "dish": {"enum": ["soup", "salad"]},
    },
    "required": ["meal", "day", "guests"],
    "if": {"properties": {"meal": {"const": "lunch"}}},
    "then": {"required": ["dish"]},
    "additionalProperties": False,
}
LETTER = "Ada, Ben and Ada's brother Carl would like to have lunch with you on the 29th of February 2028. Soup for all of us."


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain the schema, ask for the budget, and book."""
    parser = argparse.ArgumentParser(description="A schema with rules that no mask knows, read before it is used.")
    parser.add_argument("--model", default="smollm2", help="hub id, local folder, or smollm2, the embedded default")
    parser.add_argument("--max-new-tokens", type=int, default=100)
    given = parser.parse_args(arguments)

    for row in explain(BOOKING):
        if row.how != "mask":
            print(f"{row.pointer or 'everywhere'}: {row.how}")

    messages = [{"role": "user", "content": f"{LETTER}\n\nWrite the booking as JSON."}]
    with Host.from_pretrained(given.model) as host:
        booking = json_schema(BOOKING)
        try:
            result = host.generate(messages, constraint=booking, max_new_tokens=8)
        except BudgetTooSmall as error:
            print(f"8 tokens are not enough, {error.needed} are")
            result = host.generate(messages, constraint=booking, max_new_tokens=given.max_new_tokens)
    print(json.dumps(result.value))
    print(f"the rules took {result.trace.constraint_tax:.1f} nats from what the model would have written")


if __name__ == "__main__":
    main()
