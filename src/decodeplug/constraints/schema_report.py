"""What becomes of each keyword of a schema: enforced by masks, rewritten, checked while writing, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from decodeplug.constraints.byte_vocabulary import ByteVocabulary
from decodeplug.constraints.schema_check import dialect
from decodeplug.constraints.schema_meta import keywords_of
from decodeplug.constraints.schema_over import left_to_judge
from decodeplug.constraints.schema_spec import json_schema
from decodeplug.constraints.schema_tree import pointer_of, subschemas
from decodeplug.errors import Unsatisfiable, UnsupportedSchema

__all__ = ["Explained", "explain"]

_NO_RULES = frozenset(
    [
        "$anchor",
        "$comment",
        "$defs",
        "$dynamicAnchor",
        "$id",
        "$recursiveAnchor",
        "$schema",
        "$vocabulary",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "default",
        "definitions",
        "deprecated",
        "description",
        "examples",
        "id",
        "readOnly",
        "title",
        "writeOnly",
    ]
)  # keywords that no instance can break


@dataclass(frozen=True, slots=True)
class Explained:
    """One keyword of a schema.

    :ivar pointer: Where it stands. :ivar how: "mask", "rewritten" (an equal form is in the mask), "checked" (while the text
        is written), "mask, checked", "annotation" or "refused". :ivar because: Why, where that is not plain.
    """

    pointer: str
    keyword: str
    how: str
    because: str = ""


def explain(
    schema: Any,
    *,
    formats: Literal["assert", "annotate"] = "assert",
    draft: str | None = None,
    registry: Mapping[str, Any] | None = None,
) -> list[Explained]:
    """What becomes of each keyword, in the order of the schema; of one that is refused, only that.

    :param schema: What :func:`json_schema` takes, and so are the options.
    :raises BadOption: It is no schema at all, or an option does not exist.
    """
    try:
        spec = json_schema(schema, "compact", formats=formats, draft=draft, registry=registry)
        spec.compile(ByteVocabulary())
        is_strict = spec.prepared().is_equal(spec.form_for(ByteVocabulary()))
    except (UnsupportedSchema, Unsatisfiable) as error:
        keyword = getattr(error, "keyword", "") or "the schema"
        return [Explained(error.pointer, keyword, "refused", error.because)]
    ready, draft_class = spec.prepared(), dialect(spec.schema, draft)
    known = keywords_of(draft_class)
    beyond = {one.pointer for one in left_to_judge(spec.schema)}
    left, wide = ({one.pointer for one in some} for some in (ready.left, ready.wide))
    rows = []
    for path, part in subschemas(spec.schema, known):
        if any(pointer_of(path[:length]) in beyond for length in range(1, len(path) + 1)):
            continue  # a part of a keyword that has a row
        for keyword in part if isinstance(part, dict) else ():
            pointer = pointer_of((*path, keyword))
            if keyword in _NO_RULES:
                continue
            if keyword not in known:
                row = Explained(pointer, keyword, "annotation", "the draft does not know it")
            elif keyword == "format" and not ready.asserts(part):
                row = Explained(pointer, keyword, "annotation", _why_annotation(part["format"], formats))
            elif pointer in wide:
                row = Explained(pointer, keyword, "mask, checked", "the mask knows the form only")
            elif pointer not in beyond:
                row = Explained(pointer, keyword, "mask")
            elif pointer not in left:
                row = Explained(pointer, keyword, "rewritten")
            else:
                row = Explained(pointer, keyword, "mask" if is_strict else "checked")
            rows.append(row)
    if not ready.is_closed:
        rows.append(Explained("", "keys and numbers", "checked", "no key comes twice, and no number overflows"))
    return rows


def _why_annotation(name: object, formats: str) -> str:
    return 'formats="annotate"' if formats == "annotate" else f"the specification names no format {name!r}"
