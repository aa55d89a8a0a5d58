from dataclasses import replace

import pytest

from cnnjax.errors import CnnjaxError
from cnnjax.studies.plans import Plan, Run, digest


def chain(base: dict, middle: dict, last: dict) -> Plan:
    return Plan(
        [Run("base", base), Run("middle", middle, ("base",)), Run("last", last, ("middle",))]
    )


def test_a_plan_keeps_the_order_of_its_runs():
    plan = Plan([Run(name, {}) for name in ("c", "a", "b")])
    assert list(plan.runs) == ["c", "a", "b"]
    assert len(plan) == 3


def test_two_runs_of_one_name_are_refused():
    with pytest.raises(CnnjaxError, match="two runs are named a"):
        Plan([Run("a", {"n": 1}), Run("a", {"n": 2})])


@pytest.mark.parametrize("later", [[], [Run("base", {})]])
def test_a_run_must_come_after_those_it_needs(later):
    with pytest.raises(CnnjaxError, match="run transfer needs base, which must come before it"):
        Plan([Run("transfer", {}, ("base",)), *later])


def test_needed_are_those_whose_weights_others_start_from():
    assert chain({}, {}, {}).needed == {"base", "middle"}


def test_a_run_is_found_by_name():
    run = Run("a", {"n": 1})
    assert Plan([run]).find("a") is run


def test_an_unknown_name_says_which_runs_there_are():
    plan = Plan([Run(f"run{i}", {}) for i in range(9)])
    with pytest.raises(CnnjaxError) as error:
        plan.find("run9")
    message = str(error.value)
    assert "no run 'run9'" in message
    assert "run0, run1, run2, run3, run4, run5, ...; --list shows all 9" in message


def test_the_same_plan_has_the_same_identities():
    first, second = (chain({"n": 1, "seed": 2}, {}, {}) for _ in range(2))
    assert first.identities == second.identities


def test_the_identity_does_not_depend_on_the_order_of_the_settings():
    one, two = (Plan([Run("a", config)]) for config in ({"x": 1, "y": 2}, {"y": 2, "x": 1}))
    assert one.identities == two.identities


@pytest.mark.parametrize("changed", [{"n": 2}, {"n": 1.5}, {"n": None}, {"m": 1}, {"n": 1, "m": 1}])
def test_any_change_of_the_settings_is_another_identity(changed):
    assert Plan([Run("a", {"n": 1})]).identities != Plan([Run("a", changed)]).identities


def test_the_identity_changes_with_that_of_what_a_run_needs_however_far_away():
    before, after = chain({"seed": 0}, {}, {}), chain({"seed": 1}, {}, {})
    assert all(before.identities[name] != after.identities[name] for name in before.runs)


def test_the_identity_does_not_change_with_a_run_it_does_not_need():
    before, after = chain({}, {"n": 1}, {"n": 1}), chain({}, {"n": 2}, {"n": 1})
    assert before.identities["base"] == after.identities["base"]
    assert before.identities["last"] != after.identities["last"]


def test_names_and_costs_are_no_part_of_the_identity():
    run = Run("a", {"n": 1}, cost=1.0)
    other = replace(run, name="b", cost=2.0)
    assert Plan([run]).identities["a"] == Plan([other]).identities["b"]


def test_the_digest_is_the_sha256_of_canonical_json():
    # printf '{"a":1,"b":[true,null]}' | sha256sum
    expected = "1cc69c7fa23616ca2ec3ee70d24390a6225c8832db8a4c814c7e0e7f942f8668"
    assert digest({"b": [True, None], "a": 1}) == expected
