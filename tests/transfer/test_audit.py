"""The freeze audit: what it says is what the training does."""

import jax
import numpy as np
import pytest

from cnnjax import CnnjaxError
from cnnjax.training import adam, adamw, chain, momentum, momentum_sgd, partition, weight_decay
from cnnjax.transfer import assert_frozen, freeze_audit


def rows(network, variables, frozen, optimizer, **kwargs):
    return {r.stage: r for r in freeze_audit(network, variables, frozen, optimizer, **kwargs).rows}


def test_frozen_stages_have_no_rate_no_decay_no_state_and_fixed_statistics(network, pretrained):
    found = rows(network, pretrained, ("fc1",), momentum_sgd(0.1, 10, weight_decay=0.1))["fc1"]
    assert (found.trained, found.rate, found.decayed, found.state_bytes) == (False, 0, False, 0)
    assert found.batch_norm == "fixed"


def test_the_state_of_all_stages_is_the_optimizers_own(network, pretrained):
    optimizer = adam(0.1)
    found = rows(network, pretrained, ("fc1",), optimizer)
    state = optimizer.init(partition(pretrained, ("fc1",))[0]["params"])
    arrays = [leaf.nbytes for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert sum(row.state_bytes for row in found.values()) == sum(arrays)
    assert found["fc3"].state_bytes == 2 * 4 * (5 * 5 + 5)


@pytest.mark.parametrize(
    ("optimizer", "decayed"),
    [
        (momentum(0.1), False),
        (adam(0.1), False),
        (chain(weight_decay(0.1), momentum(0.1)), True),
        (adamw(0.1, weight_decay=0.1), True),
        (momentum_sgd(0.1, 10, weight_decay=0.1, warmup=5), True),
    ],
)
def test_decay_is_what_the_optimizer_does(network, pretrained, optimizer, decayed):
    assert rows(network, pretrained, (), optimizer)["fc2"].decayed is decayed


def test_a_trained_stage_may_keep_its_statistics(network, pretrained):
    found = rows(network, pretrained, (), adam(0.1), held=("fc1",))
    assert [found[stage].batch_norm for stage in ("fc1", "fc2", "fc3")] == ["fixed", "batch", "-"]


def test_a_single_bit_of_a_frozen_stage_is_noticed(network, pretrained):
    audit = freeze_audit(network, pretrained, ("fc1", "fc2"), adam(0.1))
    after = jax.tree.map(np.array, pretrained)
    assert_frozen(audit, after)
    after["params"]["fc3"]["kernel"] += 1
    assert_frozen(audit, after)
    after["batch_stats"]["fc2"]["norm"]["var"].view(np.uint32)[0] ^= 1
    with pytest.raises(CnnjaxError, match="changed fc2,"):
        assert_frozen(audit, after)
