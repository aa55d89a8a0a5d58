"""The one error a user is meant to read."""


class CnnjaxError(ValueError):
    """A mistake that the caller can mend: one line that says what was wrong, what was expected
    and what to do next.

    The command lines print it without a traceback and exit with status 2.
    """
