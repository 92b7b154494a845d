"""Drafters propose tokens. They change the speed, never the text."""

from decodeplug.drafters.chain import Chain
from decodeplug.drafters.forced import Forced
from decodeplug.drafters.heads import HeadDrafts
from decodeplug.drafters.lookup import Lookup
from decodeplug.drafters.none import NoDrafts

__all__ = ["Chain", "Forced", "HeadDrafts", "Lookup", "NoDrafts"]
