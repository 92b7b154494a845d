"""Loads the model that a benchmark runs on, with a host around it where there is one."""

from __future__ import annotations

from typing import Any

import torch
from contestants import Models

__all__ = ["load"]


def load(name: str, threads: int | None = None, *, device: str = "cpu", dtype: str = "float32") -> Models:
    """A hub id, a folder, or "smollm2" for the embedded default.

    Without a front door in this version of decodeplug (or without decodeplug), a folder or hub id is loaded
    by transformers alone, and the contestants that need a host say that they are missing.

    :param device: As torch names it. :param dtype: Likewise, of the weights.
    """
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "device_map": device}
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        from decodeplug import Host
    except ImportError:
        Host = None  # noqa: N806  # the class's own name
    if name == "smollm2":
        if Host is None:
            raise SystemExit("the embedded default needs decodeplug's Host; name a folder with --model instead")
        host = Host.from_pretrained("smollm2", **options)
        return Models(host.model, host.tokenizer, host)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(name, **options).eval()
    tokenizer = AutoTokenizer.from_pretrained(name)
    return Models(model, tokenizer, None if Host is None else Host(model, tokenizer))
