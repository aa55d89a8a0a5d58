"""Weight initialisers, each with its paper. All are functions (key, shape, dtype) -> array."""

import math

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer, constant, variance_scaling

__all__ = ["constant", "gaussian", "he_normal", "lecun_uniform"]

he_normal: Initializer = variance_scaling(2.0, "fan_in", "normal")
"""Gaussian of variance 2 / fan_in (He et al. 2015, equation 10). jax.nn.initializers.he_normal
draws from a truncated Gaussian of the same variance; this one is not truncated."""


def gaussian(std: float) -> Initializer:
    """Gaussian of mean 0 and standard deviation `std`; AlexNet takes 0.01 (2012, section 5)."""
    return jax.nn.initializers.normal(std)


def lecun_uniform(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """Uniform in [-2.4 / fan_in, 2.4 / fan_in], as LeNet-5 (LeCun et al. 1998, appendix A).

    Another function than jax.nn.initializers.lecun_uniform, whose bound is sqrt(3 / fan_in).
    """
    bound = 2.4 / math.prod(shape[:-1])
    return jax.random.uniform(key, shape, dtype, -bound, bound)
