"""FTRL-Proximal, "follow the proximally regularised leader": the `Ftrl` of lecture 4's list."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnnjax.training.optimizers.links import decayed
from cnnjax.training.settings import (
    LearningRate,
    check_not_negative,
    check_positive,
    check_rate,
    one_per_setting,
)


class FtrlState(NamedTuple):
    """The step t, and for each parameter the n_t and s_t of `ftrl`."""

    count: jax.Array
    n: optax.Updates
    s: optax.Updates


@one_per_setting
def ftrl(
    learning_rate: LearningRate, beta: float = 1.0, l1: float = 0.0, l2: float = 0.0
) -> optax.GradientTransformation:
    """FTRL-Proximal (McMahan et al. 2013, equation 1 and algorithm 1): AdaGrad whose L1 is sparse.

        n_t = n_{t-1} + g_t²,   eta_t = alpha_t / (beta + sqrt(n_t))
        z_t = z_{t-1} + g_t - (1 / eta_t - 1 / eta_{t-1}) w_t
        w_{t+1} = 0                                         if |z_t| <= l1
                  -(z_t - sign(z_t) l1) / (1 / eta_t + l2)  otherwise

    The new weights minimise the sum of all gradients so far, linear in w, plus l1 |w| + l2 w² / 2,
    plus a pull towards each of the earlier weights. With l1 = l2 = 0 this is AdaGrad, w_{t+1} =
    w_t - eta_t g_t, with beta in place of epsilon; a large l1 makes weights exactly zero.

    The paper starts from w = 0. Other weights w_1 are a centre of the pull like every later one,
    z_0 = -w_1 / eta_0. Keras leaves that out, and draws initial weights to 0 within a few steps,
    those without a gradient at once; started at 0 the two agree (its l2 is half of ours, and its
    accumulator starts at 0.1). l1 and l2 act on kernels only (see `decayed`).

    What is stored is not z but s_t = z_t + w_{t+1} / eta_t, the slope of the penalties at the new
    weights. Then eta_{t-1} cancels, and the rate may be 0, as at the ends of many schedules:

        z_t = g_t + s_{t-1} - w_t / eta_t,   s_0 = 0
        q_t = -eta_t z_t = w_t - eta_t (g_t + s_{t-1})
        w_{t+1} = (q_t - clip(q_t, -eta_t l1, eta_t l1)) / (1 + eta_t l2)
        s_t = clip(z_t, -l1, l1) - l2 w_{t+1}

    Args:
      learning_rate: alpha.
      beta: positive; the paper suggests 1.
      l1: from 0 on.
      l2: from 0 on.

    Raises:
      CnnjaxError: a negative rate or penalty, or a beta that is not positive.
    """
    check_rate(learning_rate)
    check_positive(beta, "beta", usual=1.0)
    check_not_negative(l1, "l1")
    check_not_negative(l2, "l2")
    rate = learning_rate if callable(learning_rate) else lambda step: learning_rate

    def init(params: optax.Params) -> FtrlState:
        n, s = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return FtrlState(jnp.zeros((), jnp.int32), n, s)

    def step(
        w: jax.Array, g: jax.Array, s: jax.Array, eta: jax.Array, penalised: bool
    ) -> tuple[jax.Array, jax.Array]:
        absolute, squared = (l1, l2) if penalised else (0.0, 0.0)
        z = g + s - jnp.where(w == 0, 0, w / eta)
        q = w - eta * (g + s)
        after = (q - jnp.clip(q, -eta * absolute, eta * absolute)) / (1 + eta * squared)
        slope = jnp.clip(z, -absolute, absolute) - squared * after
        return (after - w).astype(w.dtype), slope.astype(s.dtype)

    def update(
        gradients: optax.Updates, state: FtrlState, params: optax.Params
    ) -> tuple[optax.Updates, FtrlState]:
        alpha = rate(state.count)
        n = jax.tree.map(lambda n, g: n + g**2, state.n, gradients)
        eta = jax.tree.map(lambda n: alpha / (beta + jnp.sqrt(n)), n)
        both = jax.tree.map(step, params, gradients, state.s, eta, decayed(params))
        updates, s = jax.tree.transpose(jax.tree.structure(params), None, both)
        return updates, FtrlState(state.count + 1, n, s)

    return optax.GradientTransformation(init, update)
