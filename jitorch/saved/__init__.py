"""Saved models: one file of text and numbers, read without running anything in it.  docs/saved_models.md describes it."""

from jitorch.saved.reader import load
from jitorch.saved.writer import save

__all__ = ["load", "save"]
