"""Hypothesis strategies for regular expressions of the dialect that ``regex`` takes."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["any_patterns"]

_LITERALS = ("a", "b", "k", "s", "Z", "0", "7", "ö", "ß", "é", "🧸", " ", "-", ":", r"\.", r"\*", r"\[", r"\\", r"\n", r"\t", r"\x41", r"\u00e9", '"', "'", "/", "&", "~", "#", "%")  # fmt: skip
_CLASSES = (
    ".",
    r"\d",
    r"\w",
    r"\s",
    r"\D",
    r"\W",
    r"\S",
    "[abc]",
    "[^abc]",
    "[a-f0-9]",
    r"[\w.-]",
    r"[^\s,]",
    r"[\d_]",
    "[ä-ü]",
    r"[^\W\d]",
    r"[\]\\^-]",
    "[^ö]",
)
_REPEATS = ("", "", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}")
_GROUPS = ("({})", "(?:{})", "({})", "(?:{})", "(?P<name>{})", "(?i:{})", "(?s:{})", "(?-i:{})")
_FLAGS = ("", "", "", "", "(?i)", "(?s)", "(?is)")


@st.composite
def any_patterns(draw: st.DrawFn, depth: int = 2) -> str:
    """A pattern, its groups ``depth`` deep. Some are too large: then ``regex`` must say so."""
    body = draw(_branches(depth))
    if body.count("?P<name>") > 1:
        body = body.replace("?P<name>", "")
    anchored = draw(st.integers(0, 5)) == 0 and "|" not in body
    return draw(st.sampled_from(_FLAGS)) + (f"^{body}$" if anchored else body)


def _branches(depth: int) -> st.SearchStrategy[str]:
    sequence = st.lists(_item(depth), min_size=1, max_size=4).map("".join)
    return st.lists(sequence, min_size=1, max_size=3).map("|".join)


@st.composite
def _item(draw: st.DrawFn, depth: int) -> str:
    kinds = [st.sampled_from(_LITERALS), st.sampled_from(_CLASSES)]
    if depth > 0:
        kinds.append(st.builds(str.format, st.sampled_from(_GROUPS), _branches(depth - 1)))
    atom = draw(st.one_of(kinds))
    repeat = draw(st.sampled_from(_REPEATS))
    return atom + repeat + ("?" if repeat and draw(st.integers(0, 3)) == 0 else "")
