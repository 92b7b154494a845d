"""These tests need CUDA, and are collected only where it is."""

import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
