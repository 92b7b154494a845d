"""What a cache costs and what it changes, measured."""

from decodeplug.fidelity.measuring import Fidelity, Row, measure
from decodeplug.fidelity.pages import markdown, summary, svg

__all__ = ["Fidelity", "Row", "markdown", "measure", "summary", "svg"]
