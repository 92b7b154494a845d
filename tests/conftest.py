"""One thread for each test process: on small machines more of them only wait for each other."""

import torch

torch.set_num_threads(1)
