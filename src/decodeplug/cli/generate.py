"""``decodeplug generate``: one prompt, one result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decodeplug.cli.assistant import Assistant, drafting_with
from decodeplug.cli.output import Json, say_json
from decodeplug.errors import BadOption

if TYPE_CHECKING:
    from decodeplug.result import Result

__all__ = ["generate"]

_NEW_TOKENS = 200


def generate(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    model: Annotated[str, typer.Option(help="Hub id, local folder, or smollm2, the embedded default.")] = "smollm2",
    raw: Annotated[
        bool, typer.Option("--raw", help="Complete the text as it stands, without the chat template.")
    ] = False,
    recipe: Annotated[
        Path | None, typer.Option(help="A .toml or .json file with options; those given here win.")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="Constrain the text to JSON that satisfies this schema file.")
    ] = None,
    regex: Annotated[str | None, typer.Option(help="Constrain the text to this regular expression.")] = None,
    grammar: Annotated[
        str | None, typer.Option(help="Constrain the text to a grammar: a .lark file, or a name of the library.")
    ] = None,
    choice: Annotated[
        list[str] | None, typer.Option(help="Constrain the text to one of these; repeat the option.")
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="How the next token is searched for, such as sample.")] = None,
    num_beams: Annotated[int | None, typer.Option(help="Hypotheses of a beam search; 1 is none.")] = None,
    processor: Annotated[
        list[str] | None, typer.Option(help="A processor such as top-p=0.9; repeat the option.")
    ] = None,
    drafter: Annotated[
        list[str] | None, typer.Option(help="A drafter such as lookup, or none; repeat the option.")
    ] = None,
    assistant: Assistant = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="New tokens at most; 200 where a recipe does not say it either.")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="A string that ends the text; repeat the option.")] = None,
    seed: Annotated[int | None, typer.Option(help="Key of the noise: the same seed, the same text.")] = None,
    as_json: Json = False,
) -> None:
    """Decode one prompt and show the text as it is written."""
    from decodeplug.host import Host
    from decodeplug.recipe import Recipe
    from decodeplug.request import Request

    given = {
        "constraint": _constraint(schema, regex, grammar, choice),
        "strategy": strategy,
        "num_beams": num_beams,
        "processors": processor,
        "drafters": drafter,
        "stop": stop,
        "seed": seed,
        "max_new_tokens": max_new_tokens,
    }
    options: dict[str, Any] = {"max_new_tokens": _NEW_TOKENS, **(Recipe.load(recipe).options if recipe else {})}
    # What is not given is None, or an empty list where an option can be repeated.
    options |= {name: value for name, value in given.items() if value is not None and value != []}
    Request("", **options)  # what is wrong with the options is said before a model is loaded
    text = sys.stdin.read() if prompt == "-" else prompt
    with Host.from_pretrained(model) as host, drafting_with(assistant) as smaller:
        options["assistant"] = smaller
        messages = not raw and getattr(host.tokenizer, "chat_template", None)
        ready = [{"role": "user", "content": text}] if messages else text
        if as_json:
            say_json(_facts(host.generate(ready, **options)))
            return
        for chunk in host.stream(ready, **options):
            sys.stdout.write(chunk.text)
            sys.stdout.flush()
        sys.stdout.write("\n")


def _constraint(schema: Path | None, regex: str | None, grammar: str | None, choice: list[str] | None) -> Any:
    import decodeplug

    if sum(given is not None for given in (schema, regex, grammar, choice or None)) > 1:
        raise BadOption("generate", wanted="at most one of --schema, --regex, --grammar and --choice")
    if schema is not None:
        if not schema.is_file():
            raise BadOption("generate", schema=str(schema), wanted="a file with a JSON schema")
        return decodeplug.json_schema(schema)
    if regex is not None:
        return decodeplug.regex(regex)
    if grammar is not None:
        return decodeplug.lark(grammar)
    return decodeplug.choice(choice) if choice else None


def _facts(result: Result) -> dict[str, Any]:
    from pydantic_core import to_jsonable_python

    return {
        "text": result.text,
        "value": None if result.tree is not None else to_jsonable_python(result.value),
        "tree": _tree(result.tree),
        "finish_reason": result.finish_reason,
        "answer": None if result.answer is None else _plain(result.answer),
        "agreement": result.agreement,
        "score": result.score,
        "token_ids": result.token_ids,
        "logprobs": result.logprobs,
        "trace": result.trace.to_dict(),
    }


def _plain(answer: Any) -> Any:
    """An answer as plain data, or as text where it is none."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(answer, fallback=str)


def _tree(tree: Any) -> Any:
    """A parse tree as plain data: a token is its text, a tree its rule and children."""
    if hasattr(tree, "data"):
        return {"rule": str(tree.data), "children": [_tree(child) for child in tree.children]}
    return None if tree is None else str(tree)
