"""Scores of single pairs that are the same on every processor.

A matrix product adds in an order that depends on the kernel, the place of a row and the size of
the block, so equal vectors get scores that differ in the last bit. Here a pair is scored alone:
products of float32 numbers are exact in float64, and they are added in one fixed order.
"""

import numpy as np

# What float32 loses in one operation.
_UNIT = 2.0**-24


def ordered_sum(products):
    """Adds along the last axis, always in the same order.

    Halves are added to each other, element by element, so neither vector instructions nor
    threads can change a bit.

    Args:
        products: Float64 array or tensor `(..., dim)`, `dim` known.

    Returns:
        Float64 `(...)`.
    """
    width, odd = products.shape[-1], []
    while width > 1:
        half = width // 2
        if width % 2:
            odd.append(products[..., -1])
        products = products[..., :half] + products[..., half : 2 * half]
        width = half
    total = products[..., 0]
    for value in odd:
        total = total + value
    return total


def pair_scores(queries, vectors):
    """Returns the float32 inner products of NumPy arrays `(..., dim)`, row by row."""
    products = queries.astype("float64") * vectors.astype("float64")
    return ordered_sum(products).astype("float32")


def score_error(dim):
    """Bounds how far a float32 product can be from a pair's score.

    Args:
        dim: Integer.

    Returns:
        Float, in units of the product of both norms.

    Reference:
        - [Higham, 2002](https://doi.org/10.1137/1.9780898718027), section 3.1
    """
    # Eight more: the scale of a quantized row, the rounding of both results, and the norms.
    return (dim + 8) * _UNIT * 1.01


def largest_norm(vectors):
    """Returns the length of the longest row, a float."""
    return float(np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max()))
