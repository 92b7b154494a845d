"""transformers' own streamers, fed from a stream of ours."""

from __future__ import annotations

from typing import Any

import torch

from decodeplug.result import Result
from decodeplug.stream import Stream

__all__ = ["feed"]


def feed(streamer: Any, stream: Stream) -> Result:
    """Run a stream and show it to a streamer: the prompt's ids, then each turn's, then the end.

    :param streamer: Anything with ``put(ids)`` and ``end()``, such as ``TextStreamer`` or
        ``TextIteratorStreamer``; ids are ``[tokens]`` int64 on the CPU.
    :returns: The result of the stream, which is closed then. It is closed as well, and the
        streamer told of the end, if either of the two raises.
    """
    with stream:
        try:
            streamer.put(torch.tensor([list(stream.prompt_ids)]))
            for chunk in stream:
                for token in chunk.token_ids:
                    streamer.put(torch.tensor([token]))
        finally:
            streamer.end()
        return stream.result
