"""Normalisation across channels."""

import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError


def local_response_norm(
    x: jax.Array,
    depth_radius: int = 2,
    bias: float = 2.0,
    alpha: float = 1e-4,
    beta: float = 0.75,
) -> jax.Array:
    """AlexNet's brightness normalisation: b_c = a_c / (k + alpha sum_{c'} a_{c'}^2)^beta.

    The sum runs over the channels c - r ... c + r that exist, r = `depth_radius` (n = 2r + 1
    channels); k = `bias`. The constants are those of Krizhevsky et al. 2012, section 3.3. There,
    alpha is NOT divided by n; Caffe and torch.nn.LocalResponseNorm divide it, so their alpha is n
    times ours for the same function.

    x [..., C] -> [..., C].
    """
    if depth_radius < 0:
        raise CnnjaxError(f"depth_radius is {depth_radius}; give an integer of at least 0")
    squares = jnp.pad(x * x, [(0, 0)] * (x.ndim - 1) + [(depth_radius, depth_radius)])
    channels = x.shape[-1]
    total = sum(squares[..., i : i + channels] for i in range(2 * depth_radius + 1))
    return x * (bias + alpha * total) ** -beta
