"""References of a schema, made pointers within one document.

The mask engine then needs to know no ids, no anchors and no other documents: a document that is referred to
stands under ``$defs``, by its URI.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urldefrag

import jsonschema_specifications
from jsonschema.protocols import Validator
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

from decodeplug.constraints.schema_tree import changed, inner_schemas, pointer_of, subschemas
from decodeplug.errors import BadOption, UnsupportedSchema

__all__ = ["Documents", "documents_for", "gathered", "registry_of"]

Documents = tuple[tuple[str, str], ...]
"""Documents that a schema refers to: URI and JSON text of each."""

_FETCHES_NOTHING = "nothing is fetched; give the document with registry={uri: schema}"
_OLD = frozenset({"4", "6", "7"})  # drafts in which nothing beside a $ref means anything
_NAMES = ("$anchor", "$dynamicAnchor", "$id", "$recursiveAnchor", "id")
_DEFINITIONS = ("$defs", "definitions")


def documents_for(schema: Any, validator: type[Validator], registry: object) -> Documents:
    """The documents of a registry that a schema leads to, one after the other; those of the specification left out.

    :param registry: A ``referencing.Registry``, or a mapping from URIs to schemas.
    :raises BadOption: It is neither. :raises UnsupportedSchema: A reference leads nowhere.
    """
    if not isinstance(registry, Mapping):
        raise BadOption(
            "json-schema", registry=registry, wanted="a mapping from URIs to schemas, or referencing.Registry"
        )
    known: Registry[Any] = registry if isinstance(registry, Registry) else _registered(registry, validator)
    walk = _Walk(schema, validator, known.crawl())
    walk.visit_all()
    return tuple((uri, json.dumps(walk.documents[uri])) for uri in sorted(walk.documents) if not _is_specified(uri))


def registry_of(documents: Documents, validator: type[Validator], parse: Callable[[str], Any]) -> Registry[Any]:
    """A registry with these documents and those of the specification.

    :param parse: Reads the text of a document.
    """
    return _registered({uri: parse(text) for uri, text in documents}, validator)


def gathered(schema: Any, validator: type[Validator], documents: Documents) -> Any:
    """A schema with the same meaning whose references are all of the form ``#/...``; the same object if they are already.

    Dynamic references stay, unless they can only lead to one place.

    :param schema: Not modified.
    :raises UnsupportedSchema: A reference leads nowhere, or to another draft.
    """
    if not isinstance(schema, dict):
        return schema
    if not documents and not _is_old(validator) and all(map(_is_plain, subschemas(schema))):
        return schema
    walk = _Walk(schema, validator, registry_of(documents, validator, json.loads))
    walk.visit_all()
    return walk.rewritten()


def _is_plain(place: tuple[tuple[str | int, ...], Any]) -> bool:
    path, part = place
    if not isinstance(part, dict):
        return True
    reference = part.get("$ref", "#")
    named = path and any(name in part for name in ("$id", "$anchor"))
    if named or "$dynamicRef" in part or not isinstance(reference, str):
        return False
    return reference == "#" or (reference[:2] == "#/" and _is_definition(reference[1:]))


def _is_definition(pointer: str) -> bool:
    """Is it a definition of the whole schema, where every look at the schema's parts comes by?"""
    _, *steps = pointer.split("/")
    return len(steps) == 2 and steps[0] in _DEFINITIONS


def _specification(validator: type[Validator]) -> Any:
    return specification_with(_meta_uri(validator), default=DRAFT202012)


def _meta_uri(validator: type[Validator]) -> str:
    meta: Any = validator.META_SCHEMA
    return str(meta.get("$id") or meta.get("id"))


def _is_old(validator: type[Validator]) -> bool:
    return any(f"draft-0{number}/" in _meta_uri(validator) for number in _OLD)


def _is_specified(uri: str) -> bool:
    return uri in jsonschema_specifications.REGISTRY or f"{uri}#" in jsonschema_specifications.REGISTRY


def _registered(documents: Mapping[str, Any], validator: type[Validator]) -> Registry[Any]:
    default = _specification(validator)
    resources = []
    for uri, contents in documents.items():
        if not isinstance(uri, str) or not isinstance(contents, dict | bool):
            raise BadOption("json-schema", registry={uri: contents}, wanted="a mapping from URIs to schemas")
        named = contents.get("$schema") if isinstance(contents, dict) else None
        specification = specification_with(named, default=default) if isinstance(named, str) else default
        resources.append((uri, Resource(contents, specification)))
    return jsonschema_specifications.REGISTRY.with_resources(resources)


class _Walk:
    """Follows the references of a schema, from document to document.

    :ivar documents: Those that were met beside the schema, by URI.
    """

    def __init__(self, schema: Any, validator: type[Validator], known: Registry[Any]) -> None:
        self._schema, self._validator, self._known = schema, validator, known
        self._specification = _specification(validator)
        self.documents: dict[str, Any] = {}
        self._resources: dict[str, Resource[Any]] = {}
        self._pointers: dict[int, str] = {}  # of each dict in each document
        self._targets: dict[int, dict[str, Any]] = {}  # of a dict: its references, and what they lead to
        self._dynamic: list[tuple[dict[str, Any], Any, Any]] = []
        self._hidden: dict[str, dict[str, Any]] = {}  # targets that are no definitions of the whole, by pointer
        self._visited: set[int] = set()
        self._waiting: list[tuple[tuple[str | int, ...], Any, Any]] = []
        self._index(schema, ())

    def visit_all(self) -> None:
        """Visit all that the schema leads to; definitions that nothing leads to are left out."""
        root = self._specification.create_resource(self._schema)
        registry: Registry[Any] = Registry(retrieve=self._retrieve)
        resolver = registry.resolver_with_root(root)
        self._waiting.append(((), self._schema, resolver))
        self._drain()
        for _, resolved, _ in self._dynamic:  # it grows
            self._waiting.append(((), resolved.contents, resolved.resolver))
            self._drain()
        for part, resolved, fragment in self._dynamic:
            if self._leads_to_one_place(resolved.contents, fragment):
                self._targets[id(part)]["$dynamicRef"] = resolved.contents
                self._note_where(resolved.contents)

    def _drain(self) -> None:
        while self._waiting:
            path, part, resolver = self._waiting.pop()
            if not isinstance(part, dict) or id(part) in self._visited:
                continue
            self._visited.add(id(part))
            old = _is_old(self._validator) and "$ref" in part
            self._follow(path, part, resolver)
            for step, inner in inner_schemas(part):
                if step[0] not in _DEFINITIONS and not old:
                    below = resolver.in_subresource(
                        self._specification.create_resource(inner if isinstance(inner, dict) else {})
                    )
                    self._waiting.append(((*path, *step), inner, below))

    def _follow(self, path: tuple[str | int, ...], part: dict[str, Any], resolver: Any) -> None:
        targets = self._targets[id(part)] = {}
        for keyword in ("$ref", "$dynamicRef"):
            reference = part.get(keyword)
            if not isinstance(reference, str) or (keyword == "$dynamicRef" and _is_old(self._validator)):
                continue
            resolved = self._resolved(path, keyword, reference, resolver)
            if keyword == "$dynamicRef":
                self._dynamic.append((part, resolved, urldefrag(reference).fragment))
            else:
                targets[keyword] = resolved.contents
                self._note_where(resolved.contents)
                self._waiting.append(((*path, keyword), resolved.contents, resolved.resolver))

    def _note_where(self, target: Any) -> None:
        pointer = self._pointers.get(id(target), "")
        if pointer and not _is_definition(pointer):
            self._hidden[pointer] = target

    def _resolved(self, path: tuple[str | int, ...], keyword: str, reference: str, resolver: Any) -> Any:
        try:
            resolved = resolver.lookup(reference)
        except Unresolvable:
            remote = "" if reference.startswith("#") else f": {_FETCHES_NOTHING}"
            raise UnsupportedSchema(
                keyword, pointer_of((*path, keyword)), because=f"{reference!r} leads nowhere{remote}"
            ) from None
        except Exception as error:  # of a registry of the user's own, or of a reference that is no URI
            because = f"{reference!r} cannot be followed: {type(error).__name__}: {error}"
            raise UnsupportedSchema(keyword, pointer_of((*path, keyword)), because=because) from error
        if not isinstance(resolved.contents, dict | bool):
            because = f"{reference!r} leads to {type(resolved.contents).__name__}, which is no schema"
            raise UnsupportedSchema(keyword, pointer_of((*path, keyword)), because=because)
        return resolved

    def _retrieve(self, uri: str) -> Resource[Any]:
        resource = self._resources.get(uri)
        if resource is None:
            try:
                resource = self._resources[uri] = self._known.get_or_retrieve(uri).value
            except NoSuchResource:
                raise NoSuchResource(ref=uri) from None
            self.documents[uri] = resource.contents
            self._index(resource.contents, (self._definitions, uri))
        return resource

    @property
    def _definitions(self) -> str:
        return "definitions" if _is_old(self._validator) else "$defs"

    def _index(self, document: Any, top: tuple[str, ...]) -> None:
        waiting: list[tuple[tuple[str | int, ...], Any]] = [(top, document)]
        while waiting:
            path, here = waiting.pop()
            if isinstance(here, dict):
                self._pointers.setdefault(id(here), pointer_of(path))
            waiting += [((*path, step), value) for step, value in _values(here)]

    def _leads_to_one_place(self, target: Any, fragment: str) -> bool:
        """A dynamic reference means what an ordinary one would, unless it leads to a dynamic anchor that is there twice."""
        if not isinstance(target, dict) or target.get("$dynamicAnchor") != fragment or not fragment:
            return True
        everywhere = (part for root in (self._schema, *self.documents.values()) for part in _dicts(root))
        return sum(part.get("$dynamicAnchor") == fragment for part in everywhere) == 1

    def rewritten(self) -> Any:
        """The schema with its references rewritten, and the documents that it leads to among its definitions."""
        schema = self._copied(self._schema)
        used = {uri: self._copied(document) for uri, document in self.documents.items()}
        used |= {f"#{pointer}": self._copied(part) for pointer, part in self._hidden.items()}
        if used and isinstance(schema, dict):
            schema[self._definitions] = {**schema.get(self._definitions, {}), **used}
        return schema

    def _reference_to(self, target: dict[str, Any]) -> dict[str, str]:
        pointer = self._pointers[id(target)]
        if pointer in self._hidden:
            pointer = pointer_of((self._definitions, f"#{pointer}"))
        return {"$ref": "#" + quote(pointer, safe="/~")}

    def _copied(self, here: Any) -> Any:
        if isinstance(here, list):
            return [self._copied(value) for value in here]
        if not isinstance(here, dict):
            return here
        copy = {keyword: self._copied(value) for keyword, value in here.items()}
        for keyword in _DEFINITIONS if id(here) in self._visited else ():
            if isinstance(here.get(keyword), dict):  # what nothing leads to may have references to what is not there
                reached = [name for name, part in here[keyword].items() if self._is_reached(part)]
                copy[keyword] = {name: changed(copy[keyword][name], _without_strange_references) for name in reached}
        return self._pointed(here, copy) if id(here) in self._visited else copy

    def _is_reached(self, part: Any) -> bool:
        return any(id(inner) in self._visited for inner in _dicts(part)) or isinstance(part, bool)

    def _pointed(self, part: dict[str, Any], copy: dict[str, Any]) -> dict[str, Any]:
        for name in _NAMES:
            copy.pop(name, None)
        targets = self._targets[id(part)]
        if "$ref" in targets and _is_old(self._validator):
            copy = {keyword: value for keyword, value in copy.items() if keyword in ("$ref", *_DEFINITIONS)}
        for keyword, target in targets.items():
            copy.pop(keyword)
            reference = self._reference_to(target) if isinstance(target, dict) else target
            if isinstance(reference, dict) and "$ref" not in copy:
                copy.update(reference)
            else:
                copy["allOf"] = [*copy.get("allOf", ()), reference]
        return copy


def _without_strange_references(part: dict[str, Any]) -> dict[str, Any]:
    if not str(part.get("$ref", "#")).startswith("#"):
        del part["$ref"]  # not followed, so nothing leads to this part
    return part


def _values(here: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(here, dict):
        yield from here.items()
    elif isinstance(here, list):
        yield from enumerate(here)


def _dicts(root: Any) -> Iterator[dict[str, Any]]:
    waiting = [root]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            yield here
        waiting += [value for _, value in _values(here)]
