"""Contractions: matrix products, and the tiles, panels and packing that they are made of."""
