"""From what a request says of its constraint to one that is compiled and held to the budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from decodeplug.constraints import (
    NamedGrammar,
    Phases,
    Product,
    ToolForm,
    Tools,
    Union,
    as_spec,
    form_of,
    within_budget,
)
from decodeplug.contracts import Constraint, ConstraintSpec
from decodeplug.errors import BadOption, DecodeplugError, PluginError
from decodeplug.owners import owner_of
from decodeplug.registry import Registry
from decodeplug.vocabulary import Vocabulary

__all__ = ["Constraining"]

_INNER = frozenset({"parts", "then"})  # options of constraints that are made of others


class Constraining:
    """What one host knows that constraints need: its parts by name, its tokenizer, its vocabulary."""

    def __init__(self, registry: Registry, tokenizer: Any, vocabulary: Vocabulary | None) -> None:
        self.registry, self.tokenizer, self.vocabulary = registry, tokenizer, vocabulary

    def spec(self, constraint: Any) -> ConstraintSpec:
        """What a request's ``constraint`` means; a mapping that names a kind is the recipe form."""
        if self._is_recipe(constraint):
            inner = {name: self._with_inner(value) if name in _INNER else value for name, value in constraint.items()}
            constraint = self.registry.build("constraint", inner)
        return self._found(as_spec(constraint))

    def _found(self, spec: ConstraintSpec) -> ConstraintSpec:
        """A spec with what only the host knows: grammars that plugins offer by name, how the model writes calls."""
        if isinstance(spec, NamedGrammar):
            return spec.found(lambda name: self.registry.build("grammar", name))
        if isinstance(spec, Tools) and spec.form is None:
            return replace(spec, form=self._form_of_calls)
        if isinstance(spec, Product | Union):
            return replace(spec, parts=tuple(map(self._found, spec.parts)))
        return replace(spec, then=self._found(spec.then)) if isinstance(spec, Phases) else spec

    @cached_property
    def _form_of_calls(self) -> ToolForm:
        return form_of(self.tokenizer)

    def _is_recipe(self, constraint: Any) -> bool:
        return isinstance(constraint, Mapping) and constraint.get("name") in self.registry.names("constraint")

    def _with_inner(self, value: Any) -> Any:
        """The value of an option that may be a constraint in its recipe form, or a list of them."""
        if isinstance(value, list | tuple):
            return [self._with_inner(part) for part in value]
        return self.spec(value) if self._is_recipe(value) else value

    def compile(self, spec: ConstraintSpec) -> Constraint:
        """The compiled constraint, with states of its own.

        :raises BadOption: The host has no tokenizer.
        """
        if self.vocabulary is None:
            raise BadOption("constraint", wanted="a host with a tokenizer: Host(model, tokenizer)")
        try:
            return spec.compile(self.vocabulary)
        except DecodeplugError:
            raise
        except Exception as error:
            raise PluginError(owner_of(spec), spec.kind, "compile", error) from error

    def promised(self, spec: ConstraintSpec, constraint: Constraint, budget: int) -> Constraint | None:
        """The constraint held to the budget; None where no text of it is found.

        :raises BudgetTooSmall: Not even the shortest text that is found fits.
        """
        assert self.vocabulary is not None
        call = "start"
        try:
            constraint.start()
            call = "advance"
            return within_budget(constraint, (type(spec), spec.kind, spec.key()), self.vocabulary, budget)
        except DecodeplugError:
            raise
        except Exception as error:
            raise PluginError(owner_of(spec), spec.kind, call, error) from error
