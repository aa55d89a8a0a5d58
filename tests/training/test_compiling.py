import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.training import Compiled

SIDE = 1024  # of arrays of 4 MiB


def layers(x):
    """Keeps twelve arrays of 4 MiB until the end."""
    kept = []
    for _ in range(12):
        x = jnp.sin(x[::-1] + x.T)
        kept.append(x)
    return sum(k[::-1] * k.T for k in reversed(kept))


def in_pieces(function, *arguments):
    """Whether the compiler is told so."""
    return function._jitted(arguments, {}) is function._in_pieces


@pytest.fixture
def x():
    return jnp.asarray(np.random.default_rng(0).normal(size=(SIDE, SIDE)), jnp.float32)


def test_memory_in_pieces_changes_no_bit(x):
    assert jax.jit(layers)(x).tobytes() == Compiled(layers)(x).tobytes()


def test_memory_comes_in_pieces_where_no_array_is_larger(x):
    assert in_pieces(Compiled(layers), x)


def test_a_program_with_a_larger_array_keeps_its_memory_whole(x):
    assert not in_pieces(Compiled(lambda x: jnp.tile(x, 7).sum()), x)


def test_arrays_within_loops_count(x):
    def looped(x):
        return jax.lax.fori_loop(0, 2, lambda i, s: s + jnp.tile(x, 7).sum(), 0.0)

    assert not in_pieces(Compiled(looped), x)


def test_other_platforms_are_told_nothing(x, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not in_pieces(Compiled(layers), x)


def test_it_may_be_a_part_of_another_program():
    double = Compiled(lambda x: 2 * x)
    assert float(jax.jit(lambda x: double(x) + 1)(3.0)) == 7.0


def test_it_keeps_its_name_and_compiles_once():
    @Compiled
    def double(x):
        """Twice."""
        return 2 * x

    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert [float(double(x)) for x in (1.0, 2.0)] == [2.0, 4.0]
    assert double.programs == 1


def test_static_arguments_and_shapes_have_programs_of_their_own():
    power = Compiled(lambda x, n: x**n, static_argnames="n")
    given = [(jnp.ones(2), 2), (jnp.ones(2), 3), (jnp.ones(3), 3), (jnp.ones(3), 3)]
    assert [power(x, n=n).shape for x, n in given] == [(2,), (2,), (3,), (3,)]
    assert power.programs == 3


def test_donated_arguments_are_given_away():
    x = jnp.ones(8)
    Compiled(lambda x: x + 1, donate_argnums=0)(x)
    assert x.is_deleted()
