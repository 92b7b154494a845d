"""Where tests run: on the CPU, or on the device that somebody chose for a whole run of them."""

from __future__ import annotations

import os

import torch

__all__ = ["chosen_device"]


def chosen_device() -> torch.device:
    """The device of tiny models, and of the scores that the laws try parts with.

    The CPU, unless the variable ``DECODEPLUG_TEST_DEVICE`` names another, such as ``cuda``: then the same
    tests, those of a plugin too, show whether a part mixes up devices.
    """
    return torch.device(os.environ.get("DECODEPLUG_TEST_DEVICE", "cpu"))
