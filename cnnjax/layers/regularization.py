"""What keeps a network from learning its training set by heart: dropout and the max-norm
constraint of Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
overfitting" (lecture 1)."""

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.errors import CnnjaxError


def dropout(x: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    """Inverted dropout: y = r x / p with r ~ Bernoulli(p), p = 1 - rate, drawn for every number.

    The paper's p is the probability of KEEPING a unit; `rate`, as in Keras and Flax, is that of
    zeroing it. The paper's training has r x without the division and multiplies the weights by p
    at test time (section 4); this is its section 10, where nothing is left to do at test time. The
    expectation of y is x in both: E[r x] = p x.

    Args:
      x: floating, any shape.
      rate: in [0, 1); 0 draws nothing and gives x.
      key: of this draw; another one for every step and layer.

    Returns:
      An array like x.

    Raises:
      CnnjaxError: the rate is no probability, or is 1, which keeps nothing.

    >>> sorted(set(dropout(jnp.ones(1000), 0.75, jax.random.key(0)).tolist()))
    [0.0, 4.0]
    """
    check_rate(rate)
    if rate == 0.0:
        return x
    keep = 1.0 - rate
    return jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0)


def stochastic_depth(branch: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    """Drops the whole branch of a residual block, for each example by itself: y_n = r_n f(x_n) / p
    with r_n ~ Bernoulli(p), p = 1 - rate (Huang et al. 2016, "Deep networks with stochastic
    depth", equation 2; called drop connect in EfficientNet's code).

    As in `dropout`, the division by p in training leaves nothing to do at test time, where the
    paper multiplies by p (its equation 5).

    Args:
      branch: f(x) [N, ...], before the shortcut is added.
      rate: of dropping, in [0, 1); 0 draws nothing and gives the branch.
      key: of this draw; another one for every step and block.

    Returns:
      An array like `branch`.

    Raises:
      CnnjaxError: the rate is no probability, or is 1, which keeps nothing.

    >>> rows = stochastic_depth(jnp.ones((1000, 2)), 0.5, jax.random.key(0))
    >>> sorted(set(map(tuple, rows.tolist())))
    [(0.0, 0.0), (2.0, 2.0)]
    """
    check_rate(rate)
    if rate == 0.0:
        return branch
    keep = 1.0 - rate
    kept = jax.random.bernoulli(key, keep, (branch.shape[0],) + (1,) * (branch.ndim - 1))
    return jnp.where(kept, branch / keep, 0)


def check_rate(rate: float) -> None:
    """Raises CnnjaxError unless a unit can be dropped with this probability."""
    if not 0.0 <= rate < 1.0:
        raise CnnjaxError(f"dropout is {rate}; give a probability in [0, 1)")


def max_norm(kernel: jax.Array, limit: float) -> jax.Array:
    """Scales the incoming weights of every unit to a norm of at most c: ||w||_2 <= c.

    w <- w min(1, c / ||w||_2), where w is one column of a dense kernel or one filter of a
    convolution: the norm runs over all axes but the last. To be applied to the kernels after
    every update (Srivastava et al. 2014, section 5.1; c is 2 to 4 in its experiments). Weights
    within the limit stay as they are, to the bit.

    Args:
      kernel: floating, [in, units] or [kh, kw, C, O].
      limit: c, positive.

    Returns:
      An array like `kernel`.

    Raises:
      CnnjaxError: the limit is not positive, or the kernel has less than two axes.

    >>> print(max_norm(jnp.array([[3.0, 0.3], [4.0, 0.4]]), limit=1.0))
    [[0.6 0.3]
     [0.8 0.4]]
    """
    if not limit > 0.0:
        raise CnnjaxError(f"the limit of max_norm is {limit}; give a positive norm, such as 3.0")
    if kernel.ndim < 2:
        raise CnnjaxError(
            f"max_norm got weights of shape {kernel.shape}; it takes kernels [..., units] of two "
            "axes or more, leave biases out"
        )
    w = kernel.astype(jnp.promote_types(kernel.dtype, jnp.float32))
    squares = jnp.sum(w * w, axis=range(kernel.ndim - 1))
    # Never the root of 0, whose derivative is infinite: weights that are all 0 have one, too.
    shrink = limit * lax.rsqrt(jnp.maximum(squares, limit**2))
    return jnp.where(squares > limit**2, w * shrink, w).astype(kernel.dtype)
