"""Drafters propose tokens. They change the speed, never the text."""

from decodeplug.drafters.assistant import Assistant
from decodeplug.drafters.chain import Chain
from decodeplug.drafters.forced import Forced
from decodeplug.drafters.heads import HeadDrafts
from decodeplug.drafters.lookup import Lookup
from decodeplug.drafters.native_mtp import NativeDrafts
from decodeplug.drafters.none import NoDrafts

__all__ = ["Assistant", "Chain", "Forced", "HeadDrafts", "Lookup", "NativeDrafts", "NoDrafts"]
