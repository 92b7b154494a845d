"""Where a marker ends in a text that grows piece by piece: anywhere, or only at the beginning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodeplug.constraints.markers import MISSED, Marker

LETTERS = st.text("ab", max_size=12).map(str.encode)
MARKERS = st.text("ab", min_size=1, max_size=5).map(str.encode)


def found(marker: Marker, pieces: list[bytes]) -> bytes | None:
    """What stands behind the marker in the joined pieces, as the marker itself finds it."""
    matched = 0
    for at, piece in enumerate(pieces):
        behind = marker.behind(matched, piece)
        if behind is not None:
            return behind + b"".join(pieces[at + 1 :])
        matched = marker.matched_after(matched, piece)
    return None


@given(marker=MARKERS, pieces=st.lists(LETTERS, max_size=5))
def test_the_first_place_of_a_marker_is_found_however_the_text_is_cut(marker: bytes, pieces: list[bytes]) -> None:
    _, there, behind = b"".join(pieces).partition(marker)
    assert found(Marker(marker), pieces) == (behind if there else None)


@given(marker=MARKERS, pieces=st.lists(LETTERS, max_size=5))
def test_a_marker_at_the_start_is_found_only_there(marker: bytes, pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    expected = text.removeprefix(marker) if text.startswith(marker) else None
    assert found(Marker(marker, at_start=True), pieces) == expected


@pytest.mark.parametrize(
    ("written", "matched"), [(b"", 0), (b"a", 1), (b"aa", 2), (b"ab", MISSED), (b"aab", 3), (b"xaab", MISSED)]
)
def test_a_text_that_began_otherwise_has_missed_its_marker_for_good(written: bytes, matched: int) -> None:
    marker = Marker(b"aaba", at_start=True)
    assert marker.matched_after(0, written) == matched
    assert marker.matched_after(MISSED, written) == MISSED
    assert marker.behind(MISSED, b"aaba") is None
