"""Loads the model that a benchmark runs on, with a host around it where there is one."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from contestants import Models

__all__ = ["add_model_options", "load"]


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Which model, where, and in what dtype: what :func:`load` is given."""
    parser.add_argument("--model", default="smollm2", help='hub id, folder, or "smollm2", the embedded default')
    parser.add_argument("--device", default="cpu", help="where the model runs, such as cuda (default: cpu)")
    parser.add_argument("--dtype", default="float32", help="of its weights, such as bfloat16 (default: float32)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")


def load(chosen: argparse.Namespace) -> Models:
    """The model that the options of :func:`add_model_options` name.

    Without a front door in this version of decodeplug (or without decodeplug), a folder or hub id is loaded
    by transformers alone, and the contestants that need a host say that they are missing.
    """
    name: str = chosen.model
    options: dict[str, Any] = {"dtype": getattr(torch, chosen.dtype), "device_map": chosen.device}
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
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
