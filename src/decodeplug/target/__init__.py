"""The model's side of the loop: how each kind of model is fed, ragged and exactly."""

from decodeplug.target import attention, masks
from decodeplug.target.model import Target
from decodeplug.target.modelstate import next_hook, reading
from decodeplug.target.sharing import SharedPrompts

masks.install()
attention.install()

__all__ = ["SharedPrompts", "Target", "next_hook", "reading"]
