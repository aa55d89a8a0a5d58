"""The variants of a network: the same name stands for several in the literature."""

from collections.abc import Mapping
from typing import TypeVar

from cnnjax.errors import CnnjaxError, did_you_mean
from cnnjax.models.network import Network

VariantType = TypeVar("VariantType")


def variant_of(network: Network, variants: Mapping[str, VariantType]) -> VariantType:
    """What `variants` has for the variant that a network is made with, `network.variant`.

    Raises:
      CnnjaxError: it has nothing for it; the message lists what there is.
    """
    if network.variant not in variants:
        raise CnnjaxError(
            f"{type(network).__name__} has no variant {network.variant!r}; its variants are "
            f"{', '.join(variants)}{did_you_mean(network.variant, variants)}"
        )
    return variants[network.variant]
