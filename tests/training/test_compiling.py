import jax
import jax.numpy as jnp

from cnnjax.training import Compiled, compiler_options
from cnnjax.training.compiling import PIECE


def layers(x):
    """Keeps eight arrays of 4 MiB until the end."""
    kept = []
    for _ in range(8):
        x = jnp.sin(x @ jnp.eye(x.shape[1]))
        kept.append(x)
    return sum(k[::-1] for k in reversed(kept)).sum()


def test_the_options_change_no_bit():
    x = jnp.arange(1024.0 * 1024).reshape(1024, 1024) / 1e6
    plain = jax.jit(jax.grad(layers))(x)
    split = jax.jit(jax.grad(layers), compiler_options=compiler_options())(x)
    assert plain.tobytes() == split.tobytes()


def test_options_are_for_the_cpu_alone(monkeypatch):
    assert compiler_options() == {"xla_multiheap_size_constraint_per_heap": PIECE}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiler_options() == {}


def test_a_compiled_function_keeps_its_name_and_compiles_once():
    @Compiled
    def double(x):
        """Twice."""
        return 2 * x

    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert [float(double(x)) for x in (1.0, 2.0)] == [2.0, 4.0]
    assert double.jitted._cache_size() == 1
