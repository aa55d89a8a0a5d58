"""What seconds are to be judged by."""

import os

import jax


def machine() -> dict[str, object]:
    """Kind and number of devices, cores of the processor, release of JAX."""
    device = jax.devices()[0]
    return {
        "device": device.device_kind,
        "devices": jax.device_count(),
        "cpu_cores": os.cpu_count(),
        "jax": jax.__version__,
    }
