"""Lookup tables of vectors."""

from __future__ import annotations

from typing import Any

import jitorch
from jitorch.errors import ShapeError, UnsupportedError, ValueRangeError
from jitorch.nn import functional as F
from jitorch.nn import init
from jitorch.nn.initial import blank
from jitorch.nn.module import Module
from jitorch.nn.parameter import Parameter
from jitorch.tensor import Tensor


class Embedding(Module):
    """``y = weight[x]``: integers of any shape become vectors of ``embedding_dim``.

    Shapes: x (...), weight (num_embeddings, embedding_dim), y (..., embedding_dim).
    Row ``padding_idx`` starts as zeros and gets no gradient.
    ``max_norm``, ``scale_grad_by_freq`` and ``sparse`` are PyTorch's and raise UnsupportedError.
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        for name, value in (("max_norm", max_norm), ("scale_grad_by_freq", scale_grad_by_freq), ("sparse", sparse)):
            if value:
                raise UnsupportedError(f"Embedding does not support {name}", actual=f"{name}={value}")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueRangeError(
                    "padding_idx must be within num_embeddings",
                    expected=f"-{num_embeddings} <= padding_idx < {num_embeddings}",
                    actual=padding_idx,
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            table = blank(num_embeddings, embedding_dim, device=device, dtype=dtype)
            self.weight = Parameter(table, not _freeze)
            self.reset_parameters()
        elif tuple(_weight.shape) != (num_embeddings, embedding_dim):
            raise ShapeError(
                "Shape of weight does not match num_embeddings and embedding_dim",
                expected=(num_embeddings, embedding_dim),
                actual=tuple(_weight.shape),
            )
        else:
            self.weight = Parameter(_weight, not _freeze)

    def reset_parameters(self) -> None:
        """Draw the table again: standard normal, row ``padding_idx`` zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with jitorch.no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A table that shares the storage of ``embeddings`` (num_embeddings, embedding_dim)."""
        if embeddings.ndim != 2:
            raise ShapeError("Embeddings parameter is expected to be 2-dimensional", expected=2, actual=embeddings.ndim)
        rows, columns = embeddings.shape
        return cls(
            rows,
            columns,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=embeddings,
            _freeze=freeze,
        )
