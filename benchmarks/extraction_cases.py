"""The tasks of the extraction benchmark: short texts, and the values that belong into a form.

They were written before the code that they judge and are not tuned to it. Each fact that a form asks for stands in the
text: letter by letter, or in other words where the case says so. Each shape has as many tasks as every
other, one after the other, so that every fourth task makes a sample with all shapes in it.
"""

from __future__ import annotations

from extraction_flat_cases import FLAT_CASES
from extraction_itemised_cases import ITEMISED_CASES
from extraction_nested_cases import NESTED_CASES
from extraction_task import ExtractionCase

__all__ = ["EXTRACTION_CASES"]

EXTRACTION_CASES: tuple[ExtractionCase, ...] = (*FLAT_CASES, *NESTED_CASES, *ITEMISED_CASES)
