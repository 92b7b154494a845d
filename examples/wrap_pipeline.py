"""Keep an application's pipeline code, and get structure out of it.

``tell_about`` is code that an application already has: it calls a text-generation pipeline and
knows nothing of decodeplug. It is called twice, with the pipeline as it was and with the same
pipeline wrapped; the second answer is JSON that satisfies a schema.

    python examples/wrap_pipeline.py
    python examples/wrap_pipeline.py --model PATH_OR_HUB_ID
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any, Literal

from decodeplug import Host
from decodeplug.embedded import embedded_folder
from pydantic import BaseModel, Field
from transformers import pipeline


class Animal(BaseModel):
    """What the application wants to know."""

    name: str = Field(pattern="^[A-Z][a-z]{1,14}$")
    kind: Literal["mammal", "bird", "reptile", "fish", "insect"]
    legs: int = Field(ge=0, le=8)


def tell_about(pipe: Any, animal: str, *, max_new_tokens: int) -> str:
    """The application's own code: a chat in, the assistant's answer out."""
    messages = [
        {"role": "user", "content": f"Describe the {animal} in JSON: its name, its kind and its number of legs."}
    ]
    answer = pipe(messages, max_new_tokens=max_new_tokens, do_sample=False)
    return answer[0]["generated_text"][-1]["content"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask twice, and say what an application can do with each answer."""
    parser = argparse.ArgumentParser(description="Keep an application's pipeline code, and get structure out of it.")
    parser.add_argument("--model", default="smollm2", help="hub id, local folder, or smollm2, the embedded default")
    parser.add_argument("--animal", default="penguin")
    parser.add_argument("--max-new-tokens", type=int, default=60)
    given = parser.parse_args(arguments)

    name = str(embedded_folder()) if given.model == "smollm2" else given.model
    pipe = pipeline("text-generation", model=name)  # the pipeline that the application already has
    print("As it was:")
    print(tell_about(pipe, given.animal, max_new_tokens=given.max_new_tokens))

    with Host.from_pipeline(pipe) as host:
        text = tell_about(host.pipeline(constraint=Animal), given.animal, max_new_tokens=given.max_new_tokens)
    print("\nWrapped:")
    print(text)
    animal = Animal.model_validate(json.loads(text))
    print(f"\n{animal.name} is a {animal.kind} with {animal.legs} legs, says the model.")


if __name__ == "__main__":
    main()
