"""Local response normalisation against the paper's formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.layers import local_response_norm


def paper(a, n=5, k=2.0, alpha=1e-4, beta=0.75):
    """Krizhevsky et al. 2012, section 3.3, channel by channel."""
    a, channels = np.asarray(a, np.float64), a.shape[-1]
    b = np.empty_like(a)
    for i in range(channels):
        first, last = max(0, i - n // 2), min(channels - 1, i + n // 2)
        total = (a[..., first : last + 1] ** 2).sum(-1)
        b[..., i] = a[..., i] / (k + alpha * total) ** beta
    return b


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 16])
def test_values_are_those_of_the_paper(channels):
    a = 30.0 * jax.random.normal(jax.random.key(0), (2, 4, 3, channels))
    np.testing.assert_allclose(local_response_norm(a), paper(a), rtol=2e-6)


def test_alpha_is_not_divided_by_the_number_of_channels():
    # one channel: 100 / (2 + 1e-4 * 100^2)^0.75 = 100 / 3^0.75
    assert float(local_response_norm(jnp.array([100.0]))[0]) == pytest.approx(43.8691, abs=1e-4)


def test_other_constants_are_those_of_the_formula():
    a = jax.random.normal(jax.random.key(1), (2, 2, 2, 9))
    got = local_response_norm(a, depth_radius=1, bias=1.0, alpha=0.5, beta=0.5)
    np.testing.assert_allclose(got, paper(a, n=3, k=1.0, alpha=0.5, beta=0.5), rtol=2e-6)


def test_the_gradient_is_the_slope_of_the_paper_s_formula():
    a = np.random.default_rng(2).normal(size=(3, 7)) * 5
    direction = np.random.default_rng(3).normal(size=(3, 7))
    constants = {"k": 1.0, "alpha": 0.1}
    slope = sum(s * paper(a + s * 1e-6 * direction, **constants).sum() / 2e-6 for s in (1.0, -1.0))
    norm = lambda a: local_response_norm(a, bias=1.0, alpha=0.1).sum()  # noqa: E731
    gradient = jax.grad(norm)(jnp.asarray(a, jnp.float32))
    assert float(jnp.vdot(gradient, direction)) == pytest.approx(slope, rel=1e-4)


def test_half_precision_is_kept_but_sums_are_not_made_in_it():
    a = jnp.full((1, 4), 100.0, jnp.bfloat16)
    b = local_response_norm(a)
    assert b.dtype == jnp.bfloat16
    np.testing.assert_allclose(b.astype(jnp.float32), paper(a), rtol=2**-8)


@pytest.mark.parametrize(("constant", "value"), [("depth_radius", -1), ("bias", 0.0)])
def test_constants_without_a_meaning_are_refused(constant, value):
    with pytest.raises(CnnjaxError, match=constant):
        local_response_norm(jnp.ones((1, 3)), **{constant: value})
