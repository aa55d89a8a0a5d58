"""The one error a user is meant to read."""

from collections.abc import Iterable
from difflib import get_close_matches


class CnnjaxError(ValueError):
    """A mistake that the caller can mend: one line that says what was wrong, what was expected
    and what to do next.

    The command lines print it without a traceback and exit with status 2.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name; empty where nothing known is like it.

    >>> did_you_mean("lenet6", ["alexnet", "lenet5"])
    "; did you mean 'lenet5'?"
    """
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
