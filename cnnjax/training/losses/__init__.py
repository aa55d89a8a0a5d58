"""Losses, one value per example: reducing them is the caller's choice.

Every loss takes what was predicted first and what is true second, and gives `[N]`, in float32 or
wider whatever came in. The lectures' empirical loss, L = 1/N sum_i L_i (lecture 4, "Loss
Function"; lecture 1, "Empirical loss function"), is the mean of that; lecture 5 calls it "the sum
of pointwise loss function (i.e., is the average ...)", which contradicts itself: it is the average.

What starts with `softmax` or `sigmoid` takes logits, and is what to train with; `cross_entropy` and
`binary_cross_entropy` are the slides' formulas on probabilities.
"""

from cnnjax.training.losses.classification import (
    hinge,
    sigmoid_binary_cross_entropy,
    softmax_cross_entropy,
    softmax_cross_entropy_dense,
)
from cnnjax.training.losses.probabilistic import (
    binary_cross_entropy,
    cross_entropy,
    kl_divergence,
    poisson,
)
from cnnjax.training.losses.regression import (
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    sum_absolute_error,
    sum_squared_error,
)

__all__ = [
    "binary_cross_entropy",
    "cosine_similarity",
    "cross_entropy",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sigmoid_binary_cross_entropy",
    "softmax_cross_entropy",
    "softmax_cross_entropy_dense",
    "sum_absolute_error",
    "sum_squared_error",
]
