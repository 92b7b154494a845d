"""Turn an offer and its options into a part, or say which option is wrong."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from decodeplug.errors import BadOption, DecodeplugError, PluginError
from decodeplug.spec import FIRST, Spec, Value

if TYPE_CHECKING:
    from decodeplug.registry import Offer

__all__ = ["build", "options_of"]

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def build(offer: Offer, spec: Spec, extra: Mapping[str, object]) -> Any:
    """Call the offer's factory.

    Values of ``spec`` are plain data, so they are fitted to the factory's
    annotations (a list becomes the tuple that was asked for, text that looks like
    a number stays text where text is wanted). Values of ``extra`` come from
    Python and are passed as they are.

    :raises BadOption: An option does not exist, is missing, is given twice or has
        the wrong type; the message lists the options with their defaults.
    :raises PluginError: The factory failed with an error that is not ours.
    """
    signature = _signature(offer.factory)
    arguments = dict(extra)
    for name, value in spec.options.items():
        option = _first_option(offer, signature) if name == FIRST else name
        if option in arguments:
            raise _wrong(offer, {option: value.parsed}, f"{option} only once")
        arguments[option] = value
    if signature is not None:
        _check_names(offer, signature, arguments)
        arguments = {name: _fitted(offer, signature, name, value) for name, value in arguments.items()}
    plain = {name: value.parsed if isinstance(value, Value) else value for name, value in arguments.items()}
    try:
        return offer.factory(**plain)
    except DecodeplugError:
        raise
    except Exception as error:
        raise PluginError(offer.distribution, offer.part, "its factory", error) from error


def options_of(factory: Callable[..., Any]) -> dict[str, str]:
    """The options of a factory: name to default as Python would write it; ``""`` where one must be given."""
    return {} if (signature := _signature(factory)) is None else _options(signature)


def _signature(factory: Callable[..., Any]) -> inspect.Signature | None:
    """The factory's signature with real annotations where they can be read, or None for some built-in types."""
    try:
        return inspect.signature(factory, eval_str=True)
    except (
        Exception
    ):  # evaluating an annotation may raise anything, mostly NameError for names imported for typing only
        pass
    try:
        return inspect.signature(factory)
    except (ValueError, TypeError):
        return None


def _options(signature: inspect.Signature) -> dict[str, str]:
    return {
        name: "" if parameter.default is parameter.empty else repr(parameter.default)
        for name, parameter in signature.parameters.items()
        if parameter.kind in _NAMED
    }


def _wrong(offer: Offer, given: Mapping[str, object], wanted: str) -> BadOption:
    # BadOption has a keyword of its own named "wanted"; an option of that name is told by the message alone.
    return BadOption(offer.name, wanted=wanted, **{name: value for name, value in given.items() if name != "wanted"})


def _listed(signature: inspect.Signature) -> str:
    options = [
        f"{name}={default}" if default else f"{name} (no default)" for name, default in _options(signature).items()
    ]
    return ", ".join(options) or "no options"


def _first_option(offer: Offer, signature: inspect.Signature | None) -> str:
    options = [] if signature is None else list(_options(signature))
    if not options:
        raise _wrong(offer, {}, f"no value: {offer.part} has no options")
    return options[0]


def _check_names(offer: Offer, signature: inspect.Signature, arguments: Mapping[str, object]) -> None:
    options = _options(signature)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    unknown = {name: _plain(value) for name, value in arguments.items() if name not in options}
    if unknown and not takes_any:
        raise _wrong(offer, unknown, f"only the options it has: {_listed(signature)}")
    if missing := [name for name, default in options.items() if not default and name not in arguments]:
        raise _wrong(offer, {}, f"a value for {', '.join(missing)}; its options: {_listed(signature)}")


def _plain(value: object) -> object:
    return value.parsed if isinstance(value, Value) else value


def _fitted(offer: Offer, signature: inspect.Signature, name: str, value: object) -> object:
    """A spec's value as the annotation wants it; as it was where there is no annotation that can be checked."""
    parameter = signature.parameters.get(name)
    if not isinstance(value, Value) or parameter is None or parameter.kind not in _NAMED:
        return _plain(value)
    annotation = parameter.annotation
    if annotation is parameter.empty or isinstance(annotation, str):
        return value.parsed
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    try:
        adapter = TypeAdapter[Any](annotation)
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError):
        return value.parsed  # a class of the plugin's own: its factory is the judge
    readings = [value.parsed] if value.text is None else [value.parsed, value.text]
    for reading in readings:
        try:
            # Without strict, true would pass as the number 1.
            fitted = adapter.validate_python(reading, strict=isinstance(reading, bool))
        except ValidationError:
            continue
        return value.parsed if isinstance(fitted, Iterator) else fitted  # pydantic reads an Iterable lazily, once
    raise _wrong(offer, {name: value.parsed}, f"{_readable(annotation)}; its options: {_listed(signature)}")


def _readable(annotation: object) -> str:
    return re.sub(r"\b(?:collections\.abc|typing)\.", "", inspect.formatannotation(annotation))
