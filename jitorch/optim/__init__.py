"""Optimisers and learning-rate schedules, under PyTorch's names."""

from jitorch.optim import lr_scheduler as lr_scheduler
from jitorch.optim.adam import Adam as Adam
from jitorch.optim.adamw import AdamW as AdamW
from jitorch.optim.optimizer import Optimizer as Optimizer
from jitorch.optim.sgd import SGD as SGD
