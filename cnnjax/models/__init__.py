"""The networks of the lectures, by name."""

from dataclasses import fields
from difflib import get_close_matches

from cnnjax.errors import CnnjaxError
from cnnjax.models.alexnet import AlexNet, AlexNetSmall
from cnnjax.models.lenet import LeNet5
from cnnjax.models.mlp import MLP
from cnnjax.models.network import Network, check_takes

__all__ = [
    "MLP",
    "NETWORKS",
    "AlexNet",
    "AlexNetSmall",
    "LeNet5",
    "Network",
    "check_takes",
    "create",
    "list_models",
]

NETWORKS: dict[str, type[Network]] = {
    "alexnet": AlexNet,
    "alexnet_small": AlexNetSmall,
    "lenet5": LeNet5,
    "mlp": MLP,
}


def list_models() -> list[str]:
    """Returns the names that `create` knows, sorted.

    >>> list_models()
    ['alexnet', 'alexnet_small', 'lenet5', 'mlp']
    """
    return sorted(NETWORKS)


def create(name: str, **kwargs: object) -> Network:
    """Makes the network of that name.

    Args:
      name: one of `list_models()`.
      **kwargs: the network's own arguments, e.g. `num_classes=10`, `dtype=jnp.bfloat16`.

    Returns:
      A Flax Linen module; nothing is computed yet.

    Raises:
      CnnjaxError: an unknown name or argument.

    >>> create("lenet5", num_classes=26).stages
    ('c1', 'c3', 'c5', 'f6', 'output')
    """
    if name not in NETWORKS:
        near = get_close_matches(name, NETWORKS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise CnnjaxError(
            f"there is no network {name!r}; there are {', '.join(list_models())}{hint}"
        )
    network = NETWORKS[name]
    known = {field.name for field in fields(network)} - {"parent", "name"}
    if unknown := sorted(set(kwargs) - known):
        raise CnnjaxError(
            f"network {name!r} takes no argument {', '.join(map(repr, unknown))}; "
            f"it takes {', '.join(sorted(known))}"
        )
    return network(**kwargs)
