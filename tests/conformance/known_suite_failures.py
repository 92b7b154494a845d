"""What the test suite finds wrong today, case by case. A test holds that it is all, and that all of it is still so.

Take out what is mended; nothing may be added.
"""

from __future__ import annotations

__all__ = ["LEAST_RIGHT", "NAMELESS", "WRONGLY_ACCEPTED"]

LEAST_RIGHT = {
    ("2020-12", "required"): 88.0,
    ("2020-12", "format"): 17.8,
    ("7", "required"): 87.0,
    ("7", "format"): 15.3,
}
"""(draft, part) -> right schemas in percent, at least: what holds today, rounded down. Raise it with every step."""

WRONGLY_ACCEPTED = {
    "the mask knows no calendar; the last check refuses these": {
        "date": (
            "2021 is not a leap year",
            "century year 0100 is not a leap year",
            "century year 2100 is not a leap year",
            "a invalid date string with 29 days in February (normal)",
        ),
    },
    "the mask allows second 60 of any minute; the last check refuses every leap second": {
        "date-time": (
            "an invalid date-time with leap second on a wrong minute, UTC",
            "an invalid date-time with leap second on a wrong hour, UTC",
        ),
        "time": (
            "invalid leap second, Zulu (wrong hour)",
            "invalid leap second, Zulu (wrong minute)",
            "invalid leap second, zero time-offset (wrong hour)",
            "invalid leap second, zero time-offset (wrong minute)",
            "invalid leap second, positive time-offset (wrong hour)",
            "invalid leap second, positive time-offset (wrong minute)",
            "invalid leap second, negative time-offset (wrong hour)",
            "invalid leap second, negative time-offset (wrong minute)",
            "an invalid time string with invalid leap second (wrong hour)",
            "an invalid time string with invalid leap second (wrong minute)",
        ),
    },
    "the mask does not limit the length of a whole host name; the last check does": {
        "hostname": ("exceeds maximum overall length (256)",),
    },
    "neither the mask nor the last check decodes the Punycode of host names": {
        "hostname": (
            "invalid Punycode",
            "contains illegal char U+302E Hangul single dot tone mark",
            "Begins with a Spacing Combining Mark",
            "Begins with a Nonspacing Mark",
            "Begins with an Enclosing Mark",
            "Exceptions that are DISALLOWED, right-to-left chars",
            "Exceptions that are DISALLOWED, left-to-right chars",
            "MIDDLE DOT with no preceding 'l'",
            "MIDDLE DOT with nothing preceding",
            "MIDDLE DOT with no following 'l'",
            "MIDDLE DOT with nothing following",
            "Greek KERAIA not followed by Greek",
            "Greek KERAIA not followed by anything",
            "Hebrew GERESH not preceded by Hebrew",
            "Hebrew GERESH not preceded by anything",
            "Hebrew GERSHAYIM not preceded by Hebrew",
            "Hebrew GERSHAYIM not preceded by anything",
            "KATAKANA MIDDLE DOT with no Hiragana, Katakana, or Han",
            "KATAKANA MIDDLE DOT with no other characters",
            "Arabic-Indic digits mixed with Extended Arabic-Indic digits",
            "ZERO WIDTH JOINER not preceded by Virama",
            "ZERO WIDTH JOINER not preceded by anything",
            'contains "--" in the 3rd and 4th position',
        ),
    },
}
"""Reason -> format -> invalid instances of the suite that the masks allow, in both drafts."""

NAMELESS = frozenset(
    [
        ("defs", "validate definition against metaschema"),
        ("definitions", "validate definition against metaschema"),
        ("patternProperties", "multiple simultaneous patternProperties are validated"),
        ("patternProperties", "regexes are not anchored by default and are case sensitive"),
        ("patternProperties", "patternProperties with boolean schemas"),
        ("ref", "remote ref, containing refs itself"),
    ]
)
"""Refused schemas of the required part whose error names neither keyword nor place."""
