"""The other optimizers that lecture 4 lists ("tf.keras.optimizers"), each by its paper; FTRL is
in `proximal.py`.

g is the gradient, eta the learning rate (a number or a schedule), t = 1, 2, ... the step. What
`cnnjax.training.optimizers.rules` says of the state and its dtype holds here too. Where Keras
computes something else than the paper, the docstring says what.
"""

import optax

from cnnjax.training.optimizers.links import decayed
from cnnjax.training.settings import (
    LearningRate,
    check_average,
    check_not_negative,
    check_positive,
    check_rate,
    one_per_setting,
)


@one_per_setting
def adam(
    learning_rate: LearningRate,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015, algorithm 1, with its defaults).

        m_t = beta1 m_{t-1} + (1 - beta1) g_t,     mhat_t = m_t / (1 - beta1^t)
        v_t = beta2 v_{t-1} + (1 - beta2) g_t²,    vhat_t = v_t / (1 - beta2^t)
        theta_t = theta_{t-1} - eta_t mhat_t / (sqrt(vhat_t) + epsilon)

    Keras adds its epsilon to sqrt(v_t), not to sqrt(vhat_t): the form at the end of the paper's
    section 2, where epsilon counts 1 / sqrt(1 - beta2^t) times as much (32 times at first).

    Args:
      learning_rate: eta.
      beta1: what the average of the gradient keeps, in [0, 1).
      beta2: what the average of its square keeps, in [0, 1).
      epsilon: positive.

    Raises:
      CnnjaxError: a negative rate, a beta outside [0, 1), or an epsilon that is not positive.
    """
    _check_adam(learning_rate, beta1, beta2, epsilon)
    return optax.adam(learning_rate, b1=beta1, b2=beta2, eps=epsilon)


@one_per_setting
def adamw(
    learning_rate: LearningRate,
    weight_decay: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

        theta_t = theta_{t-1} - eta_t (mhat_t / (sqrt(vhat_t) + epsilon) + weight_decay theta_{t-1})

    mhat and vhat are those of `adam`; the decay does not pass through them. It acts on kernels
    only (see `decayed`). As in PyTorch and Keras it is multiplied by the whole learning rate; the
    paper multiplies it by the schedule alone. Keras decays biases too unless they are excluded.

    Args:
      learning_rate: eta.
      weight_decay: lambda, from 0 on; without a default, since libraries differ 100-fold.
      beta1: as in `adam`.
      beta2: as in `adam`.
      epsilon: as in `adam`.

    Raises:
      CnnjaxError: a negative rate or decay, a beta outside [0, 1), or an epsilon that is not
        positive.
    """
    _check_adam(learning_rate, beta1, beta2, epsilon)
    check_not_negative(weight_decay, "weight_decay")
    return optax.adamw(
        learning_rate, b1=beta1, b2=beta2, eps=epsilon, weight_decay=weight_decay, mask=decayed
    )


@one_per_setting
def nadam(
    learning_rate: LearningRate,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
    """Adam with Nesterov momentum (Dozat 2016, algorithm 2, for a constant mu = beta1).

        theta_t = theta_{t-1} - eta_t mbar_t / (sqrt(vhat_t) + epsilon)
        mbar_t = beta1 m_t / (1 - beta1^{t+1}) + (1 - beta1) g_t / (1 - beta1^t)

    m and vhat are those of `adam`. (Dozat's vhat has one more factor beta2, which he does not
    explain and nobody implements.) Keras warms the momentum up, mu_t = beta1 (1 - 0.96^t / 2),
    with Dozat's 0.96^(t / 250) made 250 times as fast; after some 100 steps the two momenta
    coincide.

    Args:
      learning_rate: eta.
      beta1: as in `adam`.
      beta2: as in `adam`.
      epsilon: as in `adam`.

    Raises:
      CnnjaxError: a negative rate, a beta outside [0, 1), or an epsilon that is not positive.
    """
    _check_adam(learning_rate, beta1, beta2, epsilon)
    return optax.nadam(learning_rate, b1=beta1, b2=beta2, eps=epsilon)


@one_per_setting
def adamax(
    learning_rate: LearningRate,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
    """Adam with the infinity norm (Kingma & Ba 2015, section 7.1, algorithm 2).

        u_t = max(beta2 u_{t-1}, |g_t| + epsilon)
        theta_t = theta_{t-1} - eta_t mhat_t / u_t

    mhat is that of `adam`. The paper has no epsilon, and 0 / 0 for a gradient that has always been
    zero; Keras adds it to u_t in the quotient instead.

    Args:
      learning_rate: eta; the paper suggests 0.002.
      beta1: as in `adam`.
      beta2: what the norm keeps, in [0, 1).
      epsilon: positive.

    Raises:
      CnnjaxError: a negative rate, a beta outside [0, 1), or an epsilon that is not positive.
    """
    _check_adam(learning_rate, beta1, beta2, epsilon)
    return optax.adamax(learning_rate, b1=beta1, b2=beta2, eps=epsilon)


@one_per_setting
def adadelta(
    learning_rate: LearningRate = 1.0, rho: float = 0.95, epsilon: float = 1e-6
) -> optax.GradientTransformation:
    """Adadelta: the size of a step follows from the steps before (Zeiler 2012, algorithm 1).

        E[g²]_t = rho E[g²]_{t-1} + (1 - rho) g_t²
        dx_t = -g_t sqrt(E[dx²]_{t-1} + epsilon) / sqrt(E[g²]_t + epsilon)
        E[dx²]_t = rho E[dx²]_{t-1} + (1 - rho) dx_t²
        theta_t = theta_{t-1} + eta_t dx_t

    epsilon is more than a guard here: the first steps are of the size sqrt(epsilon), and grow.

    Args:
      learning_rate: eta; the paper has none, that is 1. (Keras has 0.001 by default.)
      rho: what the averages keep, in [0, 1); the paper's experiments have 0.95.
      epsilon: positive; the paper's experiments have 1e-6.

    Raises:
      CnnjaxError: a negative rate, rho outside [0, 1), or an epsilon that is not positive.
    """
    check_rate(learning_rate)
    check_average(rho, "rho")
    check_positive(epsilon, "epsilon")
    return optax.adadelta(learning_rate, rho=rho, eps=epsilon)


def _check_adam(learning_rate: LearningRate, beta1: float, beta2: float, epsilon: float) -> None:
    check_rate(learning_rate)
    check_average(beta1, "beta1")
    check_average(beta2, "beta2")
    check_positive(epsilon, "epsilon")
