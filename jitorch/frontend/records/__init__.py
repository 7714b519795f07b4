"""Traces kept on disk, so that the first call in a new process need not trace."""
