"""Models whose keys and values take fewer bytes: what transform coding must know, and heads that are shared."""

from decodeplug.calibration.making import calibrate, check
from decodeplug.calibration.sharing import Shared, share_heads

__all__ = ["Shared", "calibrate", "check", "share_heads"]
