"""Multi-token prediction heads, trained for any causal language model while the model stays as it is."""

from decodeplug.heads.card import Card
from decodeplug.heads.making import train_heads
from decodeplug.heads.texts import Row, read_files
from decodeplug.heads.trained import Heads, loaded
from decodeplug.heads.training import Settings
from decodeplug.heads.writing import self_written

__all__ = ["Card", "Heads", "Row", "Settings", "loaded", "read_files", "self_written", "train_heads"]
