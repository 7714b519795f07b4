"""Eager execution: the interpreters that run op calls at once, their short ways, and the tape."""
