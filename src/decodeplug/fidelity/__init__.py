"""What a cache costs and what it changes, measured."""

from decodeplug.fidelity.measuring import Difference, Fidelity, Row, difference, measure
from decodeplug.fidelity.pages import markdown, summary, svg

__all__ = ["Difference", "Fidelity", "Row", "difference", "markdown", "measure", "summary", "svg"]
