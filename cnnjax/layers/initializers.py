"""Weight initialisers, each with its paper. All are functions (key, shape, dtype) -> array.

Kernels are [n_in, n_out], or [kh, kw, C, O] with n_in = kh kw C and n_out = kh kw O (`fans`).
"Normal" here is a Gaussian as it is, "truncated" one that is cut at two deviations, as lecture 2
writes Xavier's and He's. Cutting a Gaussian of deviation s at ±2s leaves the deviation 0.8796 s,
and the lecture does not say which of the two its sqrt(2 / n) is. Here it is that of the outcome,
since it is derived for the variance of the weights there are: the Gaussian that is cut is as much
wider. Keras (GlorotNormal, HeNormal) and JAX (glorot_normal, he_normal) do the same, but not in
Keras' TruncatedNormal(stddev) and jax.nn.initializers.truncated_normal(stddev), whose outcome has
0.8796 stddev; torch's xavier_normal_ and kaiming_normal_ do not cut.
"""

import math

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer, constant, variance_scaling

from cnnjax.errors import CnnjaxError

__all__ = [
    "constant",
    "fans",
    "gaussian",
    "glorot_truncated",
    "glorot_uniform",
    "he_normal",
    "he_truncated",
    "lecun_uniform",
    "truncated_normal",
]

CUT = 2.0
"""Deviations of the uncut Gaussian at which `truncated_normal` cuts it."""

CUT_DEVIATION = 0.8796256610342398
"""sqrt(1 - 2 c phi(c) / (Phi(c) - Phi(-c))) at c = CUT: the deviation of a standard Gaussian
once it is cut, with its density phi and its distribution Phi."""

he_normal: Initializer = variance_scaling(2.0, "fan_in", "normal")
"""Gaussian of variance 2 / fan_in (He et al. 2015, equation 10). jax.nn.initializers.he_normal
draws from a truncated Gaussian of the same variance, as `he_truncated`; this one is not truncated.
"""


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


def truncated_normal(std: float) -> Initializer:
    """Gaussian of mean 0, cut at two deviations, whose OUTCOME has the standard deviation `std`.

    The Gaussian that is cut has the deviation std / 0.8796, so that no number lies beyond
    2 std / 0.8796 = 2.274 std.

    Raises CnnjaxError for a deviation that is not positive.
    """
    if not std > 0.0:
        raise CnnjaxError(f"std is {std}; give a positive standard deviation, such as 0.01")

    def draw(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        standard = jax.random.truncated_normal(key, -CUT, CUT, shape, _drawn_in(dtype))
        return (standard * (std / CUT_DEVIATION)).astype(dtype)

    return draw


def glorot_truncated(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """Xavier's initialiser, W = TruncNormal(0, sqrt(2 / (n_in + n_out))) (lecture 2).

    Of variance 2 / (n_in + n_out) after the cut, see `truncated_normal`: the compromise between
    1 / n_in, which keeps the variance of what goes forwards, and 1 / n_out, for what comes
    backwards (Glorot and Bengio 2010, equation 12). For activations of slope 1 around 0: linear,
    tanh.
    """
    n_in, n_out = fans(shape)
    return truncated_normal(math.sqrt(2 / (n_in + n_out)))(key, shape, dtype)


def glorot_uniform(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """Uniform in ±sqrt(6 / (n_in + n_out)): the variance of `glorot_truncated`, in the form that
    its authors print (Glorot and Bengio 2010, equation 16)."""
    bound = math.sqrt(6 / sum(fans(shape)))
    return jax.random.uniform(key, shape, _drawn_in(dtype), -bound, bound).astype(dtype)


def he_truncated(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """He's initialiser, W = TruncNormal(0, sqrt(2 / n_in)) (lecture 2), for ReLU.

    Of variance 2 / n_in after the cut, see `truncated_normal`: behind a ReLU half of what comes
    in is 0, so that the weights must have twice the variance (He et al. 2015, equation 10).
    `he_normal` has the same variance, uncut.
    """
    n_in, _ = fans(shape)
    return truncated_normal(math.sqrt(2 / n_in))(key, shape, dtype)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(n_in, n_out): how many numbers a unit is computed from, and how many units take a number.

    For kernels [n_in, n_out], or [..., C, O] with the window in front: n_in = window C and n_out =
    window O. With g groups of channels, C is that of one group and n_out is g times too large.

    Raises CnnjaxError for a shape that is no kernel's.

    >>> fans((5, 5, 6, 16))  # LeNet-5, c3
    (150, 400)
    """
    if len(shape) < 2 or 0 in shape:
        raise CnnjaxError(
            f"weights of shape {tuple(shape)} have no fan-in and fan-out; give a kernel, "
            "[n_in, n_out] or [kh, kw, C, O], none of them 0"
        )
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def _drawn_in(dtype: jnp.dtype) -> jnp.dtype:
    # float32 at least: the 8 bits of bfloat16 are too few to be uniform in.
    return jnp.promote_types(dtype, jnp.float32)
