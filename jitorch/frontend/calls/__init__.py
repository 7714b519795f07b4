"""Calls of compiled functions in machine code: plans, and the code that reads them."""
