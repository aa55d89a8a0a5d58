"""Normalisation over the examples of a batch."""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from cnnjax.errors import CnnjaxError


def batch_statistics(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """mu = 1/m sum_i x_i and sigma^2 = 1/m sum_i (x_i - mu)^2 of each channel (lecture 1).

    The first two of the four equations of batch normalisation (Ioffe and Szegedy 2015, algorithm
    1). The sums run over all axes but the last: m is N for [N, C] and N H W for [N, H, W, C]
    (section 3.2). They are float32 at least, and accurate where the mean is large against the
    deviation.

    Args:
      x: floating, [..., C], of two axes or more.

    Returns:
      mean [C] and biased variance [C].

    Raises:
      CnnjaxError: x has less than two axes, or no examples.

    >>> mean, variance = batch_statistics(jnp.array([[1.0, 10.0], [3.0, 10.0]]))
    >>> mean.tolist(), variance.tolist()
    ([2.0, 10.0], [1.0, 0.0])
    """
    if x.ndim < 2 or x.size == 0:
        raise CnnjaxError(
            f"no batch statistics of an input of shape {x.shape}; give at least one example, "
            "[N, C] or [N, H, W, C]"
        )
    x = _wide(x)
    axes = tuple(range(x.ndim - 1))
    # One pass over the differences from a number near the mean (Chan, Golub and LeVeque 1983),
    # which are small numbers. The mean of an eighth of all is at most sqrt(7) standard deviations
    # from the mean of all, so what is subtracted at the end is at most 7 times what is left.
    part = x[:, : math.ceil(x.shape[1] / 8)] if x.ndim > 2 else x
    near = lax.stop_gradient(part.mean(axes))
    differences = x - near
    correction = differences.mean(axes)
    return near + correction, jnp.square(differences).mean(axes) - jnp.square(correction)


def batch_norm(
    x: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    scale: jax.Array | float,
    bias: jax.Array | float,
    epsilon: float,
) -> jax.Array:
    """y = gamma (x - mu) / sqrt(sigma^2 + epsilon) + beta, channel by channel (lecture 1).

    The last two of the four equations (Ioffe and Szegedy 2015, algorithm 1). With gamma =
    sqrt(sigma^2 + epsilon) and beta = mu it is the identity, "if necessary".

    Args:
      x: floating, [..., C].
      mean: mu [C], of the batch in training, the running one otherwise.
      variance: sigma^2 [C], likewise.
      scale: gamma, [C] or one number.
      bias: beta, [C] or one number.
      epsilon: positive, so that a constant channel has a quotient.

    Returns:
      y, of the shape and dtype of x; computed in float32 at least.

    Raises:
      CnnjaxError: an epsilon that is not positive, integers, statistics of another number of
        channels.

    >>> x = jnp.array([[1.0], [3.0]])
    >>> y = batch_norm(x, *batch_statistics(x), scale=4.0, bias=5.0, epsilon=3.0)
    >>> y.tolist()  # 5 - 4 / 2 and 5 + 4 / 2, of mean 2 and variance 1
    [[3.0], [7.0]]
    """
    if not epsilon > 0.0:
        raise CnnjaxError(f"epsilon is {epsilon}; give a positive one, such as 1e-5")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise CnnjaxError(
            f"batch_norm got an input of type {x.dtype}; it takes floating point, convert it "
            'first, e.g. x.astype("float32")'
        )
    if not mean.shape == variance.shape == x.shape[-1:]:
        raise CnnjaxError(
            f"an input of shape {x.shape} with a mean of shape {mean.shape} and a variance of "
            f"shape {variance.shape}; give one of each for each of the {x.shape[-1]} channels"
        )
    return ((_wide(x) - mean) * (scale * lax.rsqrt(variance + epsilon)) + bias).astype(x.dtype)


def _wide(x: jax.Array) -> jax.Array:
    """Of the dtype in which batch normalisation computes: float32 at least."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise_batch(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(y, mu, sigma^2) of batch normalisation in training: `batch_norm` by `batch_statistics`.

    Its backward rule is the closed form of the paper's equations (Ioffe and Szegedy 2015, section
    3): two passes over x and dy, of which only x is kept. Reverse-mode derivatives of any order.

    x [..., C], scale [C], bias [C].
    """
    mean, variance = batch_statistics(x)
    return batch_norm(x, mean, variance, scale, bias, epsilon), mean, variance


def _forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    y, mean, variance = normalise_batch(x, scale, bias, epsilon)
    return (y, mean, variance), (x, scale, bias, mean, variance)


def _backward(
    epsilon: float, kept: tuple[jax.Array, ...], gradients: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """With x^ = (x - mu) / sigma: dx = gamma / sigma (dy - mean(dy) - x^ mean(dy x^)), and what
    the gradients of mu and sigma^2 themselves add."""
    x, scale, bias, mean, variance = kept
    dy, d_mean, d_variance = gradients
    axes, m = tuple(range(x.ndim - 1)), math.prod(x.shape[:-1])
    differences, dy = _wide(x) - mean, _wide(dy)
    inverse = lax.rsqrt(variance + epsilon)
    d_bias, d_scale = dy.sum(axes), (dy * differences).sum(axes) * inverse
    slope = scale * inverse
    along = (2 * d_variance - slope * inverse * d_scale) / m
    dx = slope * dy + along * differences + (d_mean - slope * d_bias) / m
    return dx.astype(x.dtype), d_scale.astype(scale.dtype), d_bias.astype(bias.dtype)


normalise_batch.defvjp(_forward, _backward)


class BatchNorm(nn.Module):
    """Batch normalisation with running statistics (Ioffe and Szegedy 2015, algorithms 1 and 2).

    [..., C] -> [..., C], called as `(x, *, train)`. In training the mean and variance are those of
    the batch, and the running ones (collection "batch_stats": `mean`, `var`, float32 at least)
    move: running <- momentum running + (1 - momentum) batch. Otherwise they are the running ones
    and nothing moves; a frozen stage runs so, in training too. One example of one pixel, m = 1,
    is its own mean: it gives `bias`, and its variance counts as 0.

    As in the paper, the batch is divided by its biased variance (1/m) while the running variance
    takes the unbiased one, m / (m - 1) times as large. torch.nn.BatchNorm2d does the same, with a
    momentum that is 1 minus this one; Keras and flax.linen.BatchNorm keep the biased variance.

    A batch that is sharded over a mesh has global statistics under `jax.jit`, without axis names.
    In training derivatives are reverse-mode only, of any order, as those of `conv2d`.

    Attributes:
      momentum: what the running statistics keep at each step, in [0, 1). No default: libraries
        have 0.9 (torch, as 0.1) and 0.99 (Keras, Flax).
      epsilon: added to the variance. No default: libraries have 1e-5 (torch, Flax) and 1e-3
        (Keras).
      use_scale: whether to learn gamma, as parameter `scale`.
      use_bias: whether to learn beta, as parameter `bias`.
    """

    momentum: float
    epsilon: float
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Initializer = nn.initializers.ones
    bias_init: Initializer = nn.initializers.zeros
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        self._check(x, train)
        channels = x.shape[-1:]
        kept = jnp.promote_types(self.param_dtype, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, kept)
        running_variance = self.variable("batch_stats", "var", jnp.ones, channels, kept)
        scale, bias = jnp.ones(channels, kept), jnp.zeros(channels, kept)
        if self.use_scale:
            scale = self.param("scale", self.scale_init, channels, self.param_dtype)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, channels, self.param_dtype)
        if not train:
            mean, variance = running_mean.value, running_variance.value
            return batch_norm(x, mean, variance, scale, bias, self.epsilon).astype(self.dtype)
        y, mean, variance = normalise_batch(x, scale, bias, self.epsilon)
        if not self.is_initializing():
            m = math.prod(x.shape[:-1])
            unbiased = variance * (m / max(m - 1, 1))
            for running, batch in ((running_mean, mean), (running_variance, unbiased)):
                running.value = self.momentum * running.value + (1 - self.momentum) * batch
        return y.astype(self.dtype)

    @nn.nowrap
    def _check(self, x: jax.Array, train: bool) -> None:
        if not 0.0 <= self.momentum < 1.0:
            raise CnnjaxError(f"momentum is {self.momentum}; give one in [0, 1), such as 0.9")
        if x.ndim < 2:
            raise CnnjaxError(f"BatchNorm got an input of shape {x.shape}; it takes [N, ..., C]")
        if self.is_initializing():
            return
        if not self.has_variable("batch_stats", "mean"):
            raise CnnjaxError(
                'BatchNorm has no running statistics; apply it to {"params": ..., "batch_stats": '
                "...}, both as init gave them"
            )
        if train and not self.is_mutable_collection("batch_stats"):
            raise CnnjaxError(
                "BatchNorm in training moves its running statistics, which are not to be changed "
                'here; apply it with mutable=["batch_stats"], or with train=False'
            )
