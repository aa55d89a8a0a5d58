"""The optimizers: the lecture's golden trajectories, its sentences, dtypes, names and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax import CnnjaxError
from cnnjax.training import (
    OPTIMIZERS,
    SCHEDULES,
    adadelta,
    adagrad,
    adam,
    adam_simplified,
    adamw,
    create_optimizer,
    create_schedule,
    ftrl,
    momentum,
    rmsprop,
    schedules,
    sgd,
)

# Five steps on L = (t1² + 10 t2²) / 2 from (1, 1) with eta = 0.1, computed in double precision.
GOLDEN = {
    "sgd": [[0.9, 0.0], [0.81, 0.0], [0.729, 0.0], [0.6561, 0.0], [0.59049, 0.0]],
    "momentum": [[0.9, 0.0], [0.72, -0.9], [0.486, -0.81], [0.2268, 0.081], [-0.02916, 0.8019]],
    "adagrad": [
        [0.9000000005, 0.900000000005],
        [0.8331035275020189, 0.8331035268443977],
        [0.7804561820966098, 0.7804561813555885],
        [0.7362231334509799, 0.7362231326592941],
        [0.6977148628773423, 0.6977148620522178],
    ],
    "rmsprop": [
        [0.6837722497945491, 0.683772234141276],
        [0.4988706266547627, 0.49887060709444925],
        [0.36918057387599246, 0.36918055336253186],
        [0.2728249049824778, 0.27282488493134105],
        [0.1997951725474713, 0.19979515380859347],
    ],
    "adam_simplified": [
        [0.6837738151101336, 0.6837722497945492],
        [0.2702088510483153, 0.2702059967550288],
        [-0.16213776586462547, -0.16214144191100688],
        [-0.5071429529897207, -0.5071460956864644],
        [-0.6760714106786323, -0.6760726579098413],
    ],
    "adam": [
        [0.9000000009999999, 0.9000000000999999],
        [0.8004122297123379, 0.8004122278753565],
        [0.7015862745044147, 0.7015862716993223],
        [0.6039390626821075, 0.6039390588870563],
        [0.5079636619272204, 0.5079636571340387],
    ],
}
SETTINGS = {"adamw": {"weight_decay": 0.01}}  # what has no default


def trajectory(optimizer, gradient, theta, steps):
    state, places = optimizer.init(theta), []
    for _ in range(steps):
        updates, state = optimizer.update(gradient(theta), state, theta)
        theta = optax.apply_updates(theta, updates)
        places.append(np.asarray(theta))
    return np.stack(places)


@pytest.mark.parametrize("name", GOLDEN)
def test_five_steps_on_the_lectures_quadratic_are_the_golden_ones_to_twelve_digits(name):
    with jax.enable_x64(True):
        places = trajectory(
            OPTIMIZERS[name](0.1), lambda t: t * jnp.array([1.0, 10.0]), jnp.ones(2), steps=5
        )
    np.testing.assert_allclose(places, GOLDEN[name], rtol=1e-12, atol=1e-15)


def first_step(optimizer):
    gradient = jnp.array([2.0])
    updates, _ = optimizer.update(gradient, optimizer.init(jnp.zeros(1)), jnp.zeros(1))
    return float(updates[0])


def test_the_first_step_of_the_simplified_adam_is_3_16_times_the_nominal_rate():
    assert first_step(adam(0.1)) == pytest.approx(-0.1, rel=1e-5)
    assert first_step(adam_simplified(0.1)) == pytest.approx(-0.1 * 0.1 / 0.001**0.5, rel=1e-5)
    assert first_step(adam_simplified(0.1)) == pytest.approx(-0.1 * 3.16, rel=1e-3)


def test_adagrad_gives_sparser_parameters_larger_steps():
    # Lecture 4: "increases the learning rate for sparser parameters and decreases the learning
    # rate for ones that are less sparse". One gradient is 1 always, the other in every 10th step.
    optimizer, theta = adagrad(0.5), jnp.zeros(2)
    state = optimizer.init(theta)
    for t in range(1, 101):
        gradient = jnp.array([1.0, 1.0 if t % 10 == 0 else 0.0])
        updates, state = optimizer.update(gradient, state)
    dense, sparse = -np.asarray(updates)
    assert dense == pytest.approx(0.5 / np.sqrt(100), rel=1e-6)
    assert sparse == pytest.approx(0.5 / np.sqrt(10), rel=1e-6)


def test_the_rate_of_adagrad_decays_to_zero_and_that_of_rmsprop_does_not():
    def steps(optimizer):
        def body(state, _):
            updates, state = optimizer.update(jnp.array([3.0]), state)
            return state, -updates[0]

        return jax.lax.scan(body, optimizer.init(jnp.zeros(1)), length=10_000)[1]

    t = np.arange(1, 10_001)
    np.testing.assert_allclose(steps(adagrad(0.1)), 0.1 / np.sqrt(t), rtol=1e-5)
    np.testing.assert_allclose(steps(rmsprop(0.1))[200:], 0.1, rtol=1e-5)


def test_the_learning_rate_is_inside_the_velocity_so_a_drop_does_not_slow_what_is_gathered():
    drop = schedules.step(1.0, 0.1, boundaries=(1,))
    gradient = lambda theta: jnp.ones(1)  # noqa: E731
    ours = trajectory(momentum(drop, 0.5), gradient, jnp.zeros(1), steps=2)
    outside = trajectory(optax.sgd(drop, momentum=0.5), gradient, jnp.zeros(1), steps=2)
    # v_1 = 1; the slide: v_2 = 0.5 v_1 + 0.1 g = 0.6; optax: 0.1 (0.5 v_1 + g) = 0.15.
    np.testing.assert_allclose(ours.ravel(), [-1, -1.6], rtol=1e-6)
    np.testing.assert_allclose(outside.ravel(), [-1, -1.15], rtol=1e-6)


def test_the_weight_decay_of_adamw_is_decoupled_and_leaves_biases_alone():
    params = {"kernel": jnp.full((2, 2), 4.0), "bias": jnp.full(2, 4.0)}
    optimizer, zero = adamw(0.1, weight_decay=0.5), jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zero, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.5 * 4.0, rtol=1e-6)
    assert not updates["bias"].any()


def test_a_large_l1_of_ftrl_makes_kernels_exactly_zero_and_leaves_biases_alone():
    params = {"kernel": jnp.array([[0.3, 5.0]]), "bias": jnp.array([0.3])}
    optimizer = ftrl(0.5, l1=2.0)
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update(jax.tree.map(jnp.zeros_like, params), state, params)
        params = optax.apply_updates(params, updates)
    assert params["kernel"][0, 0] == 0
    # Without a gradient the leader minimises (beta / alpha) (w - w_1)² / 2 + l1 |w|.
    assert params["kernel"][0, 1] == pytest.approx(5.0 - 2.0 * 0.5, rel=1e-6)
    assert params["bias"][0] == pytest.approx(0.3, rel=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_and_state_have_the_dtype_of_the_parameters(name, dtype):
    for rate in (0.5, schedules.cosine(0.5, 10)):
        optimizer = create_optimizer(name, rate, **SETTINGS.get(name, {}))
        shapes = {"kernel": (2, 3), "bias": (3,)}
        params = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in shapes.items()}
        state = jax.eval_shape(optimizer.init, params)
        updates, after = jax.eval_shape(optimizer.update, params, state, params)
        for leaf in jax.tree.leaves((updates, state, after)):
            assert leaf.dtype == (dtype if leaf.ndim else jnp.int32)
        assert jax.tree.structure(state) == jax.tree.structure(after)
        assert {leaf.shape for leaf in jax.tree.leaves(after)} <= {(2, 3), (3,), ()}


def test_an_average_of_squares_stands_still_in_bfloat16_and_not_in_float32():
    def average(dtype):
        optimizer, gradient = adam(0.1), jnp.ones(1, dtype)
        state = optimizer.init(gradient)
        for _ in range(3000):
            _, state = update(optimizer, gradient, state)
        return float(state[0].nu[0])

    def update(optimizer, gradient, state):
        return optimizer.update(gradient, state)

    update = jax.jit(update, static_argnums=0)
    assert average(jnp.float32) == pytest.approx(1 - 0.999**3000, rel=1e-3)
    assert average(jnp.bfloat16) < 0.6


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_setting_is_one_object(name):
    settings = SETTINGS.get(name, {})
    assert OPTIMIZERS[name](0.1, **settings) is create_optimizer(name, 0.1, **settings)
    assert OPTIMIZERS[name](0.1, **settings) is not OPTIMIZERS[name](0.2, **settings)


def test_a_default_that_is_written_out_is_the_same_setting():
    assert momentum(0.1) is momentum(learning_rate=0.1, gamma=0.9)
    assert adadelta() is adadelta(1.0, rho=0.95)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf"), "0.1", True, None])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_that_is_none_is_one_clear_error(name, rate):
    with pytest.raises(CnnjaxError, match=r"learning_rate=.* is no rate; expected a .*number or"):
        create_optimizer(name, rate, **SETTINGS.get(name, {}))


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("momentum", "gamma", 1.0),
        ("nesterov", "gamma", -0.1),
        ("rmsprop", "gamma", 1.5),
        ("adam_simplified", "gamma1", 1),
        ("adam_simplified", "gamma2", float("nan")),
        *((name, "beta1", -1e-9) for name in ("adam", "nadam", "adamax")),
        *((name, "beta2", 1.0) for name in ("adam", "nadam", "adamax")),
        ("adadelta", "rho", 1.0),
    ],
)
def test_an_average_that_keeps_all_or_less_than_nothing_is_one_clear_error(name, setting, value):
    with pytest.raises(CnnjaxError, match=rf"{setting}=.* cannot be; .* 0 up to, .* 1.*; try 0.9"):
        create_optimizer(name, 0.1, **{setting: value})


@pytest.mark.parametrize("value", [0.0, -1e-8, "small"])
@pytest.mark.parametrize(
    "name", ["adagrad", "rmsprop", "adam_simplified", "adam", "nadam", "adamax", "adadelta"]
)
def test_an_epsilon_that_is_not_positive_is_one_clear_error(name, value):
    with pytest.raises(CnnjaxError, match=r"epsilon=.* expected a positive number; try 1e-08"):
        create_optimizer(name, 0.1, epsilon=value)


def test_the_strengths_of_ftrl_and_adamw_are_checked():
    for settings in ({"l1": -1.0}, {"l2": -1.0}, {"beta": 0.0}):
        with pytest.raises(CnnjaxError, match=rf"{next(iter(settings))}=.* cannot be"):
            ftrl(0.1, **settings)
    with pytest.raises(CnnjaxError, match=r"weight_decay=-1 cannot be"):
        adamw(0.1, weight_decay=-1)
    with pytest.raises(CnnjaxError, match=r"epsilon=0 cannot be"):
        adamw(0.1, weight_decay=0, epsilon=0)


def test_a_rate_of_zero_is_no_error():
    assert first_step(sgd(0.0)) == 0


def test_an_array_in_place_of_a_number_is_one_clear_error():
    with pytest.raises(
        CnnjaxError, match=r"momentum was given a setting of type Array.*number.*float\(\)"
    ):
        momentum(jnp.float32(0.1))


def test_an_unknown_name_names_the_nearest_and_all():
    with pytest.raises(CnnjaxError, match=r"no optimizer 'rmsporp'; .*adagrad.* mean 'rmsprop'\?"):
        create_optimizer("rmsporp", 0.1)
    with pytest.raises(CnnjaxError, match=r"no schedule 'cos'; there are constant, step, cosine"):
        create_schedule("cos", 0.1)


def test_an_unknown_or_missing_setting_is_one_clear_error():
    with pytest.raises(CnnjaxError, match=r"'momentum' takes no setting 'beta'; it takes gamma"):
        create_optimizer("momentum", 0.1, beta=0.9)
    with pytest.raises(CnnjaxError, match="'sgd' takes no setting 'gamma'; it takes no settings"):
        create_optimizer("sgd", 0.1, gamma=0.9)
    with pytest.raises(CnnjaxError, match=r"'adamw' has no default for weight_decay"):
        create_optimizer("adamw", 0.1)
    with pytest.raises(CnnjaxError, match=r"'cosine' has no default for steps; give steps="):
        create_schedule("cosine", 0.1)


def test_every_schedule_can_be_made_by_name():
    settings = {"step": {"every": 5}, "cosine": {"steps": 10}, "one_cycle": {"steps": 10}}
    for name, constructor in SCHEDULES.items():
        own = settings.get(name, {})
        assert create_schedule(name, 0.1, **own) is constructor(0.1, **own)
