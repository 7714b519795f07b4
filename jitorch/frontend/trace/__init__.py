"""Tracing: one run of a Python function becomes a graph; branches and loops that the program decides are staged."""
