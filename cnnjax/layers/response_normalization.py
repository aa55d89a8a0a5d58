"""Normalisation over neighbouring channels."""

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.errors import CnnjaxError


def local_response_norm(
    x: jax.Array,
    depth_radius: int = 2,
    bias: float = 2.0,
    alpha: float = 1e-4,
    beta: float = 0.75,
) -> jax.Array:
    """Local response normalisation: b_c = a_c / (k + alpha sum_{c'} a_{c'}^2)^beta.

    The sum runs over those of the channels c - r ... c + r that exist, n = 2r + 1 at most, with
    r = `depth_radius` and k = `bias`. The constants are those of Krizhevsky et al. 2012, section
    3.3 (n = 5), where alpha is NOT divided by n. Caffe and torch.nn.LocalResponseNorm divide it:
    for the same function, their alpha is n times the one given here, 5e-4 for AlexNet.

    x [..., C] -> [..., C] of the same dtype; the sums are float32 at least.

    Raises CnnjaxError for a radius below 0 or a bias that is not positive.

    >>> a = jnp.array([1.0, 2.0, 3.0])
    >>> b = local_response_norm(a, depth_radius=1, bias=1.0, alpha=1.0, beta=1.0)
    >>> [round(float(v), 4) for v in b]  # 1 / (1 + 5), 2 / (1 + 14), 3 / (1 + 13)
    [0.1667, 0.1333, 0.2143]
    """
    if depth_radius < 0 or bias <= 0:
        raise CnnjaxError(
            f"depth_radius is {depth_radius} and bias {bias}; give a radius of at least 0 and a "
            "positive bias, AlexNet's are 2 and 2.0"
        )
    a = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    ones = (1,) * (a.ndim - 1)
    pads = ((0, 0),) * (a.ndim - 1) + ((depth_radius, depth_radius),)
    sums = lax.reduce_window(a * a, 0.0, lax.add, (*ones, 2 * depth_radius + 1), (*ones, 1), pads)
    # exp and log run in vector registers on the CPU, a power does not.
    return (a * jnp.exp(-beta * jnp.log(bias + alpha * sums))).astype(x.dtype)
