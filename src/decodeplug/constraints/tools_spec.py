"""Calls of functions, in the form that the model was taught."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from decodeplug.constraints.compiled import compile_grammar, first_line
from decodeplug.constraints.json_value import strict_loads
from decodeplug.constraints.phased import Phased
from decodeplug.constraints.schema_spec import JsonSchema, json_schema
from decodeplug.constraints.tidy import Tidied
from decodeplug.contracts import Constraint, Vocabulary
from decodeplug.errors import BadOption, InvalidResult, UnsupportedGrammar, UnsupportedSchema
from decodeplug.values import ToolCall, ToolCalls

__all__ = ["Tools", "tools"]

_OPEN, _CLOSE = "<tool_call>", "\n</tool_call>"
_NO_PARAMETERS = {"properties": {}}


@dataclass(frozen=True, slots=True)
class Tools:
    """Texts with calls of some functions. Made by :func:`tools`.

    :ivar functions: Name and schema of the arguments of each. :ivar required: There is at least one call, and
        nothing before it. :ivar parallel: There may be several.
    """

    functions: tuple[tuple[str, JsonSchema], ...]
    required: bool = False
    parallel: bool = True
    kind: ClassVar[str] = "tools"

    def key(self) -> Hashable:
        named = tuple((name, arguments.key()) for name, arguments in self.functions)
        return (named, self.required, self.parallel)

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary.

        :raises UnsupportedSchema: The parameters of a function cannot be enforced; the pointer begins with its name.
        :raises Unsatisfiable: No arguments satisfy the parameters of a function.
        """
        for name, arguments in self.functions:
            try:
                arguments.check_embeddable(vocabulary)
            except UnsupportedSchema as error:
                raise UnsupportedSchema(error.keyword, f"/{name}{error.pointer}", because=error.because) from None
        calls: Constraint = compile_grammar(
            self.kind,
            self.key(),
            vocabulary,
            grammar=self._grammar,
            refusal=lambda message: UnsupportedGrammar(self.kind, because=first_line(message)),
        )
        if not all(arguments.prepared().is_closed for _, arguments in self.functions):
            calls = Tidied(calls, vocabulary.token_bytes)
        if self.required:
            return calls
        return Phased(self.kind, _OPEN.encode(), calls, None, vocabulary, may_end=True)

    def _grammar(self) -> str:
        """The engine's grammar: of the whole text, or of what follows the first opening tag."""
        first = f"{json.dumps(_OPEN)} call" if self.required else "call"
        rules = [f"start: {first}" + (f" ({json.dumps(chr(10) + _OPEN)} call)*" if self.parallel else "")]
        names = [f"function_{number}" for number in range(len(self.functions))]
        rules.append(f"call: {json.dumps(chr(10))} ({' | '.join(names)}) {json.dumps('}' + _CLOSE)}")
        for rule, (name, arguments) in zip(names, self.functions, strict=True):
            rules.append(f"{rule}: {json.dumps(_head(name), ensure_ascii=False)} arguments_{rule}")
            rules.append(f"arguments_{rule}: {arguments.embedded()}")
        return "\n".join(rules)

    def value(self, text: str) -> ToolCalls:
        """The calls in the text, in their order; none where it is an answer without calls.

        :raises InvalidResult: A call is not complete, is of another function, or its arguments are not as its schema wants.
        """
        before, opened, rest = text.partition(_OPEN)
        if self.required and (before or not opened):
            raise InvalidResult(text, because=f"it does not begin with {_OPEN}")
        if not opened:
            return ToolCalls()
        first, *others = rest.split(_CLOSE)
        if not others or others.pop():
            raise InvalidResult(text, because="a call is not closed, or something follows the last one")
        if others and not self.parallel:
            raise InvalidResult(text, because="there are several calls")
        further = "\n" + _OPEN
        if wrong := [other for other in others if not other.startswith(further)]:
            raise InvalidResult(text, because=f"between two calls there is {wrong[0]!r}")
        return ToolCalls(self._call(text, call) for call in (first, *(other[len(further) :] for other in others)))

    def _call(self, text: str, piece: str) -> ToolCall:
        for name, arguments in self.functions:
            head = "\n" + _head(name)
            if piece.startswith(head) and piece.endswith("}"):
                strict_loads(piece[1:])
                return ToolCall(name, arguments.value(piece[len(head) : -1]))
        raise InvalidResult(
            text, because=f"this is no call of {', '.join(name for name, _ in self.functions)}: {piece!r}"
        )


def _head(name: str) -> str:
    return f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": '


def tools(functions: Iterable[Mapping[str, Any]], *, choice: str = "auto", parallel: bool = True) -> Tools:
    """Let the model call functions; ``r.tool_calls`` has the calls, and then ``r.finish_reason`` is "tool_calls".

    The form is that of Hermes and Qwen: each call is ``<tool_call>``, a line ``{"name": ..., "arguments": ...}`` and
    ``</tool_call>``. The functions must also be told to the model: ``chat_template_kwargs={"tools": functions}``.

    :param functions: As for the OpenAI interface: ``{"type": "function", "function": {"name": ..., "parameters": schema}}``,
        or what is under "function" alone. Without parameters it takes no arguments. Arguments that the schema
        does not name are not written, unless it has ``additionalProperties``.
    :param choice: "auto": any text, in which calls are held to the schemas, and after which nothing but calls may
        follow. "required": at least one call, and nothing else. The name of a function: the same with this one.
    :param parallel: There may be several calls.
    :raises BadOption: No functions, one without name, two of one name, or a choice that does not exist.
    :raises UnsupportedSchema: Parameters are no schema, or cannot be enforced.
    """
    given = list(functions) if isinstance(functions, Iterable) and not isinstance(functions, str | Mapping) else []
    read = [_function(entry) for entry in given]
    names = [name for name, _ in read]
    if not read or len(set(names)) < len(names):
        raise BadOption("tools", functions=names or functions, wanted="functions, each with a name of its own")
    if choice not in ("auto", "required", *names):
        raise BadOption("tools", choice=choice, wanted=f"'auto', 'required' or one of {', '.join(names)}")
    chosen = [function for function in read if choice in ("auto", "required", function[0])]
    return Tools(tuple(chosen), choice != "auto", parallel)


def _function(entry: Any) -> tuple[str, JsonSchema]:
    inner = entry.get("function", entry) if isinstance(entry, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(name, str) or not name:
        wanted = 'mappings such as {"type": "function", "function": {"name": ..., "parameters": ...}}'
        raise BadOption("tools", functions=entry, wanted=wanted)
    parameters = inner.get("parameters") or _NO_PARAMETERS
    if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
        raise BadOption(
            "tools", parameters=parameters, wanted=f"the schema of an object, as the parameters of {name!r}"
        )
    return name, json_schema({"type": "object", "additionalProperties": False, **parameters})
