"""Keys that lie in pieces: which pieces a forward reads, and attention over each of them where it lies."""

from decodeplug.caches.pieces.reading import InPieces, Reading
from decodeplug.caches.pieces.runs import GONE, Run, Slab, as_runs, runs_of

__all__ = ["GONE", "InPieces", "Reading", "Run", "Slab", "as_runs", "runs_of"]
