"""The tokens of a vocabulary as a tree of bytes, level by level, so that numpy can walk it for all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Level", "Trie"]


@dataclass(frozen=True, slots=True)
class Level:
    """The nodes of one depth.

    :ivar first: Number of the first of them. :ivar parents: ``[nodes]`` int64 numbers of their parents.
    :ivar bytes: ``[nodes]`` int32: the byte that leads to each.
    """

    first: int
    parents: np.ndarray
    bytes: np.ndarray


class Trie:
    """A tree of bytes. The root is node 0, and stands for no bytes.

    :ivar levels: From the first bytes on. :ivar nodes: How many nodes there are, the root included.
    :ivar tokens: ``[n]`` int64 ids that have bytes. :ivar ends: ``[n]`` int64: the node of each.
    """

    def __init__(self, texts: list[bytes]) -> None:
        lengths = np.fromiter((len(text) for text in texts), np.int64, len(texts))
        starts = np.cumsum(lengths) - lengths
        flat = np.frombuffer(b"".join(texts), np.uint8).astype(np.int64)
        self.tokens = np.flatnonzero(lengths)
        self.ends = np.zeros(len(self.tokens), np.int64)
        self.levels: list[Level] = []
        self.nodes = 1
        going, at = (
            np.arange(len(self.tokens)),
            np.zeros(len(self.tokens), np.int64),
        )  # indices into tokens; their nodes
        for depth in range(int(lengths.max(initial=0))):
            more = lengths[self.tokens[going]] > depth
            going, at = going[more], at[more]
            keys, which = np.unique(at * 256 + flat[starts[self.tokens[going]] + depth], return_inverse=True)
            self.levels.append(Level(self.nodes, keys // 256, (keys % 256).astype(np.int32)))
            at = which.reshape(-1) + self.nodes
            self.nodes += len(keys)
            self.ends[going] = at  # the last level that a token reaches stays
