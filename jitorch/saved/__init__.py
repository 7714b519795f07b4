"""Saved models: one file of text and numbers, read without running anything in it.  See docs/saved_models.md."""

from jitorch.frontend import tracing
from jitorch.frontend.script import function
from jitorch.saved.reader import load
from jitorch.saved.writer import save

__all__ = ["load", "save"]

function.save[:] = tracing.save[:] = [save]
