"""Optimisers and learning-rate schedules, under PyTorch's names."""

from jitorch.optim import lr_scheduler
from jitorch.optim.adam import Adam
from jitorch.optim.adamw import AdamW
from jitorch.optim.optimizer import Optimizer
from jitorch.optim.sgd import SGD

__all__ = [
    "Adam",
    "AdamW",
    "Optimizer",
    "SGD",
    "lr_scheduler",
]
