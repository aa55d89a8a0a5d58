"""How the programs of a training are compiled."""

from collections.abc import Callable, Iterator
from functools import update_wrapper

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

PIECE = 24 << 20
"""Bytes. From 32 MiB on glibc takes what XLA asks for from the system anew each time, and the
system clears it page by page; smaller pieces are kept."""


class Compiled:
    """A function under `jax.jit`, on the CPU with memory that is not taken anew at each call.

    There intermediate results lie in pieces of up to 24 MiB instead of in one, if no array of the
    program is larger: that saves most where a step is a program of its own; a loop of steps asks
    for its memory once. No number changes, and on other platforms nothing. `python
    scripts/benchmark.py` measures with it. Inside another `jax.jit` it is a part of that.

    >>> double = Compiled(lambda x: 2 * x)
    >>> float(double(3.0))
    6.0
    """

    def __init__(self, function: Callable, **settings: object) -> None:
        """
        Args:
          function: what to compile.
          settings: of `jax.jit`.
        """
        update_wrapper(self, function)
        options = {"xla_multiheap_size_constraint_per_heap": PIECE}
        self._whole = jax.jit(function, **settings)
        self._in_pieces = jax.jit(function, compiler_options=options, **settings)
        self._suits: dict[object, bool] = {}

    def __call__(self, *args: object, **kwargs: object) -> object:
        return self._jitted(args, kwargs)(*args, **kwargs)

    def lower(self, *args: object, **kwargs: object) -> jax.stages.Lowered:
        """As that of `jax.jit`, whose `compile` gives the program and what is known of it."""
        return self._jitted(args, kwargs).lower(*args, **kwargs)

    @property
    def programs(self) -> int:
        """How many have been compiled."""
        return self._whole._cache_size() + self._in_pieces._cache_size()

    def _jitted(self, args: tuple, kwargs: dict[str, object]) -> Callable:
        leaves, tree = jax.tree.flatten((args, kwargs))
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        if traced or jax.default_backend() != "cpu":
            return self._whole
        kinds = tuple(
            (leaf.shape, leaf.dtype) if hasattr(leaf, "shape") else leaf for leaf in leaves
        )
        if (tree, kinds) not in self._suits:
            program = self._whole.trace(*args, **kwargs).jaxpr.jaxpr
            self._suits[tree, kinds] = max(_sizes(program), default=0) <= PIECE
        return self._in_pieces if self._suits[tree, kinds] else self._whole


def _sizes(program: Jaxpr) -> Iterator[int]:
    """The bytes of all that is computed in a program, loops and functions included."""
    for equation in program.eqns:
        for variable in equation.outvars:
            shaped = variable.aval
            yield shaped.size * shaped.dtype.itemsize if hasattr(shaped, "size") else 0
        for parameter in equation.params.values():
            for inner in parameter if isinstance(parameter, tuple | list) else (parameter,):
                if isinstance(inner, ClosedJaxpr | Jaxpr):
                    yield from _sizes(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner)
