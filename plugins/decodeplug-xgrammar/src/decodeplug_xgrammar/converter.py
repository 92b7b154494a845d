"""From a normal form to a grammar: XGrammar's own converter, and three corrections of what it writes."""

from __future__ import annotations

import json
import re
from typing import Any

from decodeplug.plugin import UnsupportedSchema
from xgrammar import Grammar

from decodeplug_xgrammar.ebnf import MOST_SPACE, SEPARATORS
from decodeplug_xgrammar.engine import last_line
from decodeplug_xgrammar.normal_form import OWN_RULE, NormalForm

__all__ = ["grammar_of"]

_ESCAPE = r'basic_escape ::= (([\"\\/bfnrt]) | ("u" [A-Fa-f0-9] [A-Fa-f0-9] [A-Fa-f0-9] [A-Fa-f0-9]))'
_ONE_SPELLING = r"basic_escape ::= (([\"\\bfnrt]))"
_CHARACTERS = r"[^\0-\x1f\"\\\r\n"
_WITHOUT_SURROGATES = r"[^\0-\x1f\ud800-\udfff\"\\\r\n"


def grammar_of(form: NormalForm, layout: str) -> Grammar:
    """The grammar of all JSON texts that a normal form allows.

    :param form: Made for the same layout. :param layout: "spaced", "compact", "any", or that of free whitespace.
    :raises UnsupportedSchema: XGrammar refuses it, or writes something that is not known here.
    """
    schema: dict[str, Any] = dict(form.root or {})
    if form.definitions:
        schema["$defs"] = form.definitions
    try:
        converted = Grammar.from_json_schema(
            json.dumps(schema),
            any_whitespace=layout in MOST_SPACE,
            separators=SEPARATORS.get(layout),
            strict_mode=False,
            max_whitespace_cnt=MOST_SPACE.get(layout),
        )
    except RuntimeError as error:
        raise UnsupportedSchema("", "", because=f"XGrammar refuses it: {last_line(error)}") from None
    return Grammar.from_ebnf(_with_rules(_corrected(str(converted), layout), form))


def _corrected(text: str, layout: str) -> str:
    r"""One spelling for every string, only whole characters, and one layout.

    With ``\u`` and ``\/`` a key that the schema names could be written in disguise, and half a surrogate pair is no
    text. The bytes of a surrogate are no UTF-8.
    """
    if text.count(_ESCAPE) != 1 or _CHARACTERS not in text:
        raise UnsupportedSchema("", "", because="this release of XGrammar writes JSON strings in a way not known here")
    text = text.replace(_ESCAPE, _ONE_SPELLING).replace(_CHARACTERS, _WITHOUT_SURROGATES)
    if layout == "compact":  # in values of any kind XGrammar puts a space behind the comma
        text = re.sub(r'^(basic_\w+ ::= \(\()", "', r'\1","', text, flags=re.MULTILINE)
    return text


def _with_rules(text: str, form: NormalForm) -> str:
    """Put our own rules where their placeholders stand."""
    text = re.sub(rf'"\\"{form.tag}:(\d+)@\\""', rf"{OWN_RULE}\1", text)
    return text + "".join(f"{OWN_RULE}{number} ::= {body}\n" for body, number in form.rules.items())
