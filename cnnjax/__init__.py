"""cnnjax: the convolutional networks of the classic lectures as pure functions in JAX/Flax, and
the studies that made them famous."""

from cnnjax.errors import CnnjaxError
from cnnjax.models import create, list_models

__all__ = ["CnnjaxError", "create", "list_models"]
