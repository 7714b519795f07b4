"""Tools around training."""

from jitorch.utils import data as data
