"""Recipes that put elements in order, or find those that come first in it."""
