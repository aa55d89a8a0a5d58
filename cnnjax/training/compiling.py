"""How the programs of a training are compiled."""

from collections.abc import Callable
from functools import update_wrapper

import jax

PIECE = 8 << 20
"""Bytes. From 32 MiB on glibc takes what XLA asks for from the system anew each time, and the
system clears it page by page; smaller pieces are kept."""


def compiler_options() -> dict[str, int]:
    """What `jax.jit` should be given as `compiler_options`, on the platform of this process.

    On the CPU: intermediate results lie in pieces of memory of some 8 MiB each instead of one,
    which saves most where a step is a program of its own; a loop of steps asks for its memory
    once. No number changes. Elsewhere nothing. `python scripts/benchmark.py` measures with it.

    >>> step = jax.jit(lambda x: 2 * x, compiler_options=compiler_options())
    >>> float(step(3.0))
    6.0
    """
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_multiheap_size_constraint_per_heap": PIECE}


class Compiled:
    """A function under `jax.jit`, with the `compiler_options` of the platform it runs on.

    Which platform that is, is asked at the first call: importing starts none. As every function
    with options of its own it is not for the inside of another `jax.jit`.
    """

    def __init__(self, function: Callable, **settings: object) -> None:
        """
        Args:
          function: what to compile.
          settings: of `jax.jit`.
        """
        update_wrapper(self, function)
        self._settings, self._jitted = settings, None

    @property
    def jitted(self) -> Callable:
        """What `jax.jit` gives."""
        if self._jitted is None:
            options = compiler_options()
            self._jitted = jax.jit(self.__wrapped__, compiler_options=options, **self._settings)
        return self._jitted

    def __call__(self, *args: object, **kwargs: object) -> object:
        return self.jitted(*args, **kwargs)
