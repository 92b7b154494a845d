"""Calls of functions, in the form that the model was taught."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from decodeplug.constraints.budget import known_text, search_for
from decodeplug.constraints.compiled import compile_grammar, first_line, with_engine
from decodeplug.constraints.hints import hints_of
from decodeplug.constraints.markers import Marker
from decodeplug.constraints.phased import Phased
from decodeplug.constraints.schema_spec import JsonSchema, json_schema
from decodeplug.constraints.tidy import Tidied
from decodeplug.constraints.tool_forms import FORMS, HERMES, ToolForm
from decodeplug.constraints.witnessed import Witnessed
from decodeplug.contracts import Constraint, Vocabulary
from decodeplug.errors import BadOption, InvalidResult, UnsupportedGrammar, UnsupportedSchema
from decodeplug.values import ToolCalls

__all__ = ["Tools", "tools"]

_NO_PARAMETERS = {"properties": {}}


@dataclass(frozen=True, slots=True)
class Tools:
    """Texts with calls of some functions. Made by :func:`tools`.

    :ivar functions: Name and schema of the arguments of each. :ivar required: There is at least one call, and
        nothing before it. :ivar parallel: There may be several, where the form has several.
    :ivar form: How calls are written. A host puts that of its model in place of None; without a host None is ``HERMES``.
    """

    functions: tuple[tuple[str, JsonSchema], ...]
    required: bool = False
    parallel: bool = True
    form: ToolForm | None = None
    kind: ClassVar[str] = "tools"

    @property
    def _form(self) -> ToolForm:
        return self.form or HERMES

    def key(self) -> Hashable:
        named = tuple((name, arguments.key()) for name, arguments in self.functions)
        return (named, self.required, self.parallel, self._form)

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary.

        Where the mark of the form is the name of a special token, that token is how it is written.

        :raises UnsupportedSchema: The parameters of a function cannot be enforced; the pointer begins with its name.
        :raises Unsatisfiable: No arguments satisfy the parameters of a function.
        """
        form = self._form
        own = with_engine(self.kind, vocabulary).special_id(form.mark)
        if self.required and own is None:
            return self._calls(vocabulary, marked=True)
        marker = Marker(form.mark.encode(), form.at_start, own)
        calls = self._calls(vocabulary, marked=False)
        budget, may_end = 0 if self.required else None, not self.required
        answer = known_text(calls, (self.kind, self.key()), vocabulary)
        return Phased(self.kind, marker, calls, budget, vocabulary, may_end=may_end, answer=answer)

    def _calls(self, vocabulary: Vocabulary, *, marked: bool) -> Constraint:
        """The calls, compiled; with the mark in front of them, or as what follows it."""
        witnesses = self._witnesses(vocabulary)
        forms = {name: arguments.form_for(vocabulary) for name, arguments in self.functions}
        mask: Constraint = compile_grammar(
            self.kind,
            (self.key(), marked),
            vocabulary,
            grammar=lambda: self._form.grammar(
                {name: arguments.embedded(forms[name]) for name, arguments in self.functions},
                parallel=self.parallel,
                marked=marked,
            ),
            refusal=lambda message: UnsupportedGrammar(self.kind, because=first_line(message)),
        )
        if not all(arguments.prepared().is_closed for _, arguments in self.functions):
            mask = Tidied(mask, vocabulary.token_bytes)
        if not witnesses:
            return mask
        before = b"" if marked else self._form.mark.encode()

        def judge(calls: bytes) -> bool:
            try:
                self._read((before + calls).decode())
            except (InvalidResult, UnicodeDecodeError):
                return False
            return True

        hints = tuple(hint for _, arguments in self.functions for hint in hints_of(arguments.schema))
        search = search_for(mask, vocabulary, judge, hints)
        name, arguments = next(iter(witnesses.items()))
        witness = self._form.one_call(name, arguments.decode()).encode().removeprefix(before)
        return Witnessed(mask, search, tuple(search.spell(witness)), vocabulary.token_bytes)

    def _witnesses(self, vocabulary: Vocabulary) -> dict[str, bytes]:
        """Valid arguments of each function whose schema needs more than a mask. Every schema is compiled once."""
        found: dict[str, bytes] = {}
        for name, arguments in self.functions:
            try:
                alone = arguments.compile(vocabulary)
            except UnsupportedSchema as error:
                raise _of_function(name, error) from None
            if isinstance(alone, Witnessed):
                found[name] = b"".join(map(vocabulary.token_bytes, alone.witness))
        return found

    def value(self, text: str) -> ToolCalls:
        """The calls in the text, in their order; none where it is an answer without calls.

        :raises InvalidResult: A call is not complete, is of another function, or its arguments are not as its schema wants.
        """
        at = self._form.find(text)
        if self.required and at != 0:
            raise InvalidResult(text, because=f"it does not begin with {self._form.mark}")
        return ToolCalls() if at < 0 else self._read(text[at:])

    def _read(self, calls: str) -> ToolCalls:
        return self._form.read(calls, dict(self.functions), parallel=self.parallel)


def tools(
    functions: Iterable[Mapping[str, Any]],
    *,
    choice: str = "auto",
    parallel: bool = True,
    form: Literal["hermes", "llama3", "mistral"] | None = None,
) -> Tools:
    """Let the model call functions; ``r.tool_calls`` has the calls, and then ``r.finish_reason`` is "tool_calls".

    The functions must also be told to the model: ``chat_template_kwargs={"tools": functions}``.

    :param functions: As for the OpenAI interface: ``{"type": "function", "function": {"name": ..., "parameters": schema}}``,
        or what is under "function" alone. Without parameters it takes no arguments. Arguments that the schema
        does not name are not written, unless it has ``additionalProperties``.
    :param choice: "auto": any text, in which calls are held to the schemas, and after which nothing but calls may
        follow. "required": at least one call, and nothing else. The name of a function: the same with this one.
    :param parallel: There may be several calls, where the form has several.
    :param form: How calls are written. "hermes": each is ``<tool_call>``, a line ``{"name": ..., "arguments": ...}`` and
        ``</tool_call>``. "llama3": ``{"name": ..., "parameters": ...}``, one call, which is the whole text.
        "mistral": ``[TOOL_CALLS]`` and a list of ``{"name": ..., "arguments": ...}``. None: as the chat template of the
        host's tokenizer writes them; "hermes" where it writes none.
    :raises BadOption: No functions, one without name, two of one name, or a choice or form that does not exist.
    :raises UnsupportedSchema: Parameters are no schema, or cannot be enforced; the pointer begins with the function's name.
    """
    given = list(functions) if isinstance(functions, Iterable) and not isinstance(functions, str | Mapping) else []
    read = [_function(entry) for entry in given]
    names = [name for name, _ in read]
    if not read or len(set(names)) < len(names):
        raise BadOption("tools", functions=names or functions, wanted="functions, each with a name of its own")
    if choice not in ("auto", "required", *names):
        raise BadOption("tools", choice=choice, wanted=f"'auto', 'required' or one of {', '.join(names)}")
    if form is not None and form not in FORMS:
        raise BadOption("tools", form=form, wanted=f"one of {', '.join(FORMS)}, or None for that of the chat template")
    chosen = [function for function in read if choice in ("auto", "required", function[0])]
    return Tools(tuple(chosen), choice != "auto", parallel, None if form is None else FORMS[form])


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
    try:
        return name, json_schema({"type": "object", "additionalProperties": False, **parameters}, "spaced")
    except UnsupportedSchema as error:
        raise _of_function(name, error) from None


def _of_function(name: str, error: UnsupportedSchema) -> UnsupportedSchema:
    return UnsupportedSchema(error.keyword, f"/{name}{error.pointer}", because=error.because)
