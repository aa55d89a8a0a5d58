"""The activation functions of lecture 4: "many choices, each with their unique advantages".

All are functions of one floating array, elementwise but for `softmax` and `maxout`, and keep its
dtype. Their derivatives, which the lecture asks to keep away from 0, are finite everywhere.
"""

import jax
import jax.numpy as jnp

from cnnjax.errors import CnnjaxError


def sigmoid(x: jax.Array) -> jax.Array:
    """sigma(x) = 1 / (1 + e^-x), of values in [0, 1].

    sigma' = sigma (1 - sigma) is 1/4 at 0, its largest value, and 0.000045 at ±10: a sigmoid
    saturates, and what it passes back vanishes (lecture 4).

    >>> sigmoid(jnp.array([-1e4, 0.0, 1e4])).tolist()
    [0.0, 0.5, 1.0]
    >>> float(jax.grad(sigmoid)(0.0))
    0.25
    """
    return jax.nn.sigmoid(_floating(x, "sigmoid"))


def tanh(x: jax.Array) -> jax.Array:
    """tanh(x) = (e^x - e^-x) / (e^x + e^-x) = 2 sigma(2x) - 1, of values in [-1, 1] (lecture 4).

    tanh' = 1 - tanh^2 is 1 at 0 and saturates as that of `sigmoid`.

    >>> float(jax.grad(tanh)(0.0))
    1.0
    """
    return jnp.tanh(_floating(x, "tanh"))


def relu(x: jax.Array) -> jax.Array:
    """max(0, x) (lecture 4). The derivative is 1 for x > 0 and 0 for x < 0; at 0 it is taken to
    be 0.

    >>> relu(jnp.array([-2.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 3.0]
    >>> float(jax.grad(relu)(0.0))
    0.0
    """
    return jax.nn.relu(_floating(x, "relu"))


def leaky_relu(x: jax.Array, slope: float = 0.1) -> jax.Array:
    """max(slope x, x) (lecture 4). The derivative is 1 for x > 0 and `slope` for x < 0, so that
    no unit dies; at 0 it is taken to be 1.

    The lecture's slope is 0.1. PyTorch and jax.nn.leaky_relu take 0.01 unless told otherwise, the
    LeakyReLU layer of Keras 0.3.

    Raises CnnjaxError for a slope outside [0, 1), where the maximum would be another function.

    >>> print(leaky_relu(jnp.array([-2.0, 0.0, 3.0])))
    [-0.2  0.   3. ]
    """
    if not 0.0 <= slope < 1.0:
        raise CnnjaxError(f"the slope of leaky_relu is {slope}; give one in [0, 1), such as 0.1")
    return jax.nn.leaky_relu(_floating(x, "leaky_relu"), slope)


def relu6(x: jax.Array) -> jax.Array:
    """min(max(0, x), 6): ReLU with a bound, so that few bits hold its values (Krizhevsky 2010,
    "Convolutional deep belief networks on CIFAR-10"; MobileNets). The derivative is 1 between 0
    and 6, and 0 outside and at both ends.

    >>> relu6(jnp.array([-2.0, 3.0, 8.0])).tolist()
    [0.0, 3.0, 6.0]
    """
    return jax.nn.relu6(_floating(x, "relu6"))


def silu(x: jax.Array) -> jax.Array:
    """x sigma(x), also called swish (Ramachandran et al. 2017, "Searching for activation
    functions"): smooth, near 0 for x << 0 and near x for x >> 0, smallest at -1.278 with -0.278.

    >>> [round(float(y), 4) for y in silu(jnp.array([-1e4, 0.0, 2.0]))]
    [-0.0, 0.0, 1.7616]
    """
    return jax.nn.silu(_floating(x, "silu"))


def elu(x: jax.Array, alpha: float = 1.0) -> jax.Array:
    """x for x >= 0, alpha (e^x - 1) for x < 0 (lecture 4; Clevert et al. 2016, equation 15).

    The derivative is 1 for x > 0 and alpha e^x for x < 0; at 0 it is taken to be alpha, which for
    alpha = 1 is the derivative from either side.

    Raises CnnjaxError for an alpha that is not positive.

    >>> print(elu(jnp.array([-1e4, -1.0, 0.0, 2.0])).round(4))
    [-1.     -0.6321  0.      2.    ]
    """
    if not alpha > 0.0:
        raise CnnjaxError(f"the alpha of elu is {alpha}; give a positive one, such as 1.0")
    return jax.nn.elu(_floating(x, "elu"), alpha)


def softmax(x: jax.Array, axis: int = -1) -> jax.Array:
    """e^{x_i} / sum_j e^{x_j} along `axis`: probabilities (lecture 4, of the last layer).

    Adding the same number to all x_j changes nothing; the largest is subtracted before e is raised
    to them, so that nothing overflows. The derivative is dp_i/dx_j = p_i ([i = j] - p_j).

    Raises CnnjaxError for an axis that x does not have.

    >>> softmax(jnp.array([1e4, 1e4, -1e4])).tolist()
    [0.5, 0.5, 0.0]
    """
    x = _floating(x, "softmax")
    if not -x.ndim <= axis < x.ndim:
        raise CnnjaxError(
            f"softmax along axis {axis} of an input of shape {x.shape}; give an axis that it has"
        )
    return jax.nn.softmax(x, axis)


def maxout(z: jax.Array, pieces: int) -> jax.Array:
    """h_j = max_{i < k} z_{j k + i} with k = `pieces`: the largest of every k neighbours.

    [..., features * pieces] -> [..., features]. After an affine map this is the lecture's
    max(w_1^T x + b_1, w_2^T x + b_2), for k = 2 (lecture 4; Goodfellow et al. 2013, section 3);
    with the map it is the module `Maxout`. The derivative is 1 for the largest of the k and 0 for
    the others; equals share it.

    Raises CnnjaxError where the last axis cannot be divided by `pieces`.

    >>> maxout(jnp.array([1.0, 5.0, -3.0, -2.0]), pieces=2).tolist()
    [5.0, -2.0]
    """
    z = _floating(z, "maxout")
    if z.ndim == 0 or pieces < 1 or z.shape[-1] % pieces:
        raise CnnjaxError(
            f"maxout over {pieces} pieces of an input of shape {z.shape}; give an integer of at "
            "least 1 that divides the last axis"
        )
    return z.reshape(*z.shape[:-1], z.shape[-1] // pieces, pieces).max(-1)


def _floating(x: jax.Array, name: str) -> jax.Array:
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise CnnjaxError(
            f"{name} got an input of type {x.dtype}; it takes floating point, convert it first, "
            'e.g. x.astype("float32")'
        )
    return x
