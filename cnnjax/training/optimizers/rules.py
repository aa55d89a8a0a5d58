"""The update rules of lecture 4 as optax transformations, in the lecture's symbols.

Every rule maps a gradient g = dL/dtheta to an update u, and `optax.apply_updates` adds it:
theta <- theta + u. The learning rate eta is a number or a schedule (`cnnjax.training.schedules`).
The slides give no values for gamma and epsilon; the defaults are in the signatures, and each
docstring says whose they are.

The state (velocities, running averages) exists for the parameters that `init` was given, and in
their dtype. Keep parameters in float32, also when a network computes in bfloat16 (`param_dtype`
and `dtype` of a network): bfloat16 has 8 binary digits, so a running average that keeps 0.999 of
its past stands still there, and a step below 1/512 of a weight is lost.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnnjax.training.optimizers.links import decayed
from cnnjax.training.settings import (
    LearningRate,
    check_average,
    check_positive,
    check_rate,
    one_per_setting,
)


@one_per_setting
def sgd(learning_rate: LearningRate) -> optax.GradientTransformation:
    """Gradient descent: theta_{t+1} = theta_t - eta_t g_t.

    Lecture 1, "Training CNN with gradient descent", and lecture 4, "SGD". What the slide calls
    batch, mini-batch and stochastic gradient descent is this rule with the gradient of the mean
    loss over all N examples, n of them or one: the `batch_size` of `cnnjax.training.fit`.

    Args:
      learning_rate: eta.

    Raises:
      CnnjaxError: a negative rate.

    >>> import cnnjax
    >>> from cnnjax.training import classification, create_state, fit
    >>> network = cnnjax.create("mlp", hidden=(), num_classes=2)
    >>> images, labels = jnp.array([1.0, -1.0, 2.0, -2.0]).reshape(4, 1, 1, 1), jnp.arange(4) % 2
    >>> for name, n in {"batch": 4, "mini-batch": 2, "stochastic": 1}.items():
    ...     zeros = {"params": {"fc1": {"kernel": jnp.zeros((1, 2)), "bias": jnp.zeros(2)}}}
    ...     state = create_state(zeros, sgd(0.5), jax.random.key(0))
    ...     state, lines = fit(
    ...         state, (images, labels), network=network, task=classification, optimizer=sgd(0.5),
    ...         seed=0, batch_size=n, steps=5 * 4 // n, log_every=4 // n
    ...     )
    ...     print(f"{name}: {int(state.step)} steps, mean loss {lines[-1]['loss']:.2f}")
    batch: 5 steps, mean loss 0.13
    mini-batch: 10 steps, mean loss 0.07
    stochastic: 20 steps, mean loss 0.04
    """
    check_rate(learning_rate)
    return optax.sgd(learning_rate)


@one_per_setting
def momentum(learning_rate: LearningRate, gamma: float = 0.9) -> optax.GradientTransformation:
    """Gradient descent with momentum (lecture 4, "SGD+Momentum").

        v_t = gamma v_{t-1} + eta_t g_t
        theta_{t+1} = theta_t - v_t

    The learning rate is inside v, as on the slide and in Krizhevsky et al. 2012: when eta drops,
    the velocity keeps what it gathered at the higher rate. `optax.sgd(eta, momentum)` and PyTorch
    multiply v by eta instead; the two agree while eta is constant. `momentum_sgd` is theirs.

    Args:
      learning_rate: eta.
      gamma: what the velocity keeps, in [0, 1); Krizhevsky et al. 2012, section 5, have 0.9.

    Raises:
      CnnjaxError: a negative rate, or gamma outside [0, 1).

    >>> optimizer, theta = momentum(0.1, gamma=0.9), jnp.array([1.0])
    >>> state = optimizer.init(theta)
    >>> for _ in range(3):  # L = theta² / 2
    ...     updates, state = optimizer.update(theta, state)
    ...     theta = theta + updates
    ...     print(round(theta.item(), 4))
    0.9
    0.72
    0.486
    """
    check_rate(learning_rate)
    check_average(gamma, "gamma")
    return optax.chain(optax.scale_by_learning_rate(learning_rate), optax.trace(gamma))


@one_per_setting
def nesterov(learning_rate: LearningRate, gamma: float = 0.9) -> optax.GradientTransformation:
    """Momentum whose gradient is taken where the velocity is about to lead.

    Nesterov's rule (1983; in this form Sutskever et al. 2013, equations 3 and 4),

        v_t = gamma v_{t-1} + eta_t dL/dphi (phi_t - gamma v_{t-1}),   phi_{t+1} = phi_t - v_t,

    written for the place where the gradient is taken, theta_t = phi_t - gamma v_{t-1}:

        v_t = gamma v_{t-1} + eta_t g_t
        theta_{t+1} = theta_t - (gamma v_t + eta_t g_t)

    Args:
      learning_rate: eta.
      gamma: what the velocity keeps, in [0, 1), as in `momentum`.

    Raises:
      CnnjaxError: a negative rate, or gamma outside [0, 1).
    """
    check_rate(learning_rate)
    check_average(gamma, "gamma")
    return optax.chain(
        optax.scale_by_learning_rate(learning_rate), optax.trace(gamma, nesterov=True)
    )


@one_per_setting
def adagrad(learning_rate: LearningRate, epsilon: float = 1e-8) -> optax.GradientTransformation:
    """AdaGrad: larger steps for sparser parameters (lecture 4; Duchi et al. 2011).

        G_t = G_{t-1} + g_t²,   G_0 = 0
        theta_{t+1} = theta_t - eta_t g_t / sqrt(G_t + epsilon)

    The first step of every parameter is eta, whatever the gradient's size. epsilon is inside the
    root, as on the slide. optax and Keras start the accumulator at 0.1 instead of 0.

    Args:
      learning_rate: eta.
      epsilon: positive; 1e-8, a common choice, the slide gives none.

    Raises:
      CnnjaxError: a negative rate, or an epsilon that is not positive.
    """
    check_rate(learning_rate)
    check_positive(epsilon, "epsilon")
    return optax.adagrad(learning_rate, initial_accumulator_value=0.0, eps=epsilon)


@one_per_setting
def rmsprop(
    learning_rate: LearningRate, gamma: float = 0.9, epsilon: float = 1e-8
) -> optax.GradientTransformation:
    """RMSProp: AdaGrad with an exponential average of the squared gradient (lecture 4).

        G_t = gamma G_{t-1} + (1 - gamma) g_t²,   G_0 = 0
        theta_{t+1} = theta_t - eta_t g_t / sqrt(G_t + epsilon)

    epsilon is inside the root, as on the slide and in Keras (PyTorch: outside). G starts at 0 and
    is not corrected for that, so the first step is eta / sqrt(1 - gamma), 3.16 eta for 0.9.

    Args:
      learning_rate: eta.
      gamma: what the average keeps, in [0, 1); 0.9 in Hinton's lecture 6e, where it comes from.
      epsilon: positive; 1e-8, a common choice, the slide gives none.

    Raises:
      CnnjaxError: a negative rate, gamma outside [0, 1), or an epsilon that is not positive.
    """
    check_rate(learning_rate)
    check_average(gamma, "gamma")
    check_positive(epsilon, "epsilon")
    return optax.chain(
        optax.scale_by_rms(decay=gamma, eps=epsilon, initial_scale=0.0, eps_in_sqrt=True),
        optax.scale_by_learning_rate(learning_rate),
    )


class SimplifiedAdamState(NamedTuple):
    """Running averages of the gradient and of its square."""

    v: optax.Updates
    g_squared: optax.Updates


@one_per_setting
def adam_simplified(
    learning_rate: LearningRate,
    gamma1: float = 0.9,
    gamma2: float = 0.999,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
    """RMSProp + momentum: Adam as on the slide, "Adam (Simplified)" (lecture 4).

        v_t = gamma1 v_{t-1} + (1 - gamma1) g_t,    v_0 = 0
        G_t = gamma2 G_{t-1} + (1 - gamma2) g_t²,   G_0 = 0
        theta_{t+1} = theta_t - eta_t v_t / sqrt(G_t + epsilon)

    Without Kingma and Ba's correction of the averages for their start at 0, the first step is
    (1 - gamma1) / sqrt(1 - gamma2) = 3.16 times eta; `adam`'s is eta. And epsilon is inside the
    root here.

    Args:
      learning_rate: eta.
      gamma1: what the average of the gradient keeps, in [0, 1).
      gamma2: what the average of its square keeps, in [0, 1).
      epsilon: positive. The three defaults are Kingma and Ba's (2015, algorithm 1).

    Raises:
      CnnjaxError: a negative rate, a gamma outside [0, 1), or an epsilon that is not positive.
    """
    check_rate(learning_rate)
    check_average(gamma1, "gamma1")
    check_average(gamma2, "gamma2")
    check_positive(epsilon, "epsilon")

    def init(params: optax.Params) -> SimplifiedAdamState:
        return SimplifiedAdamState(*(jax.tree.map(jnp.zeros_like, params) for _ in range(2)))

    def update(
        g: optax.Updates, state: SimplifiedAdamState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, SimplifiedAdamState]:
        v = jax.tree.map(lambda v, g: gamma1 * v + (1 - gamma1) * g, state.v, g)
        g_squared = jax.tree.map(
            lambda square, g: gamma2 * square + (1 - gamma2) * g**2, state.g_squared, g
        )
        updates = jax.tree.map(lambda v, square: v / jnp.sqrt(square + epsilon), v, g_squared)
        return updates, SimplifiedAdamState(v, g_squared)

    return optax.chain(
        optax.GradientTransformation(init, update), optax.scale_by_learning_rate(learning_rate)
    )


@lru_cache  # one object per setting: a step is compiled once for each optimizer object
def momentum_sgd(
    learning_rate: float,
    steps: int,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    warmup: int = 0,
) -> optax.GradientTransformation:
    """Stochastic gradient descent with momentum, linear warm-up and cosine decay.

        g <- g + weight_decay w;   v <- momentum v + g;   w <- w - eta(t) v

    Args:
      learning_rate: the highest eta, reached after the warm-up.
      steps: over which eta falls to 0 along half a cosine.
      momentum: in [0, 1).
      weight_decay: L2, on kernels only (see `decayed`).
      warmup: steps over which eta rises linearly from 0.

    Returns:
      A transformation whose state exists for the parameters it was given, and no others.
    """
    rate = optax.schedules.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup else learning_rate,
        peak_value=learning_rate,
        warmup_steps=warmup,
        decay_steps=steps,
    )
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask=decayed),
        optax.sgd(rate, momentum=momentum),
    )
