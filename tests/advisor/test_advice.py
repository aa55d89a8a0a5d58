import math

import pytest

from cnnjax.advisor.advice import advise
from cnnjax.errors import CnnjaxError

COSTS = {"cheap": 1.0, "middle": 2.0, "dear": 3.0}


def judged(margin=1.0, costs=COSTS, splits=None, **found):
    rows = [
        {"option": option, "split": split, "accuracy": accuracy}
        for option, accuracies in found.items()
        for split, accuracy in enumerate(accuracies)
    ]
    splits = splits or max(map(len, found.values()))
    return advise(rows, costs, splits, 0.25, margin)


def test_the_cheapest_within_one_standard_error_of_the_best_is_chosen():
    # middle loses 1, 0, 1, 0: mean 0.5, s² 1/3, error sqrt((1/4 + 1/4) / 3) = 0.408
    advice = judged(dear=(91, 91, 92, 92), middle=(90, 91, 91, 92), cheap=(90, 91, 92, 91.5))
    assert advice.best == "dear"
    assert advice.standing("middle").loss.error == pytest.approx(math.sqrt(1 / 6))
    assert not advice.standing("middle").within_noise
    # cheap loses 1, 0, 0, 0.5: mean 0.375, s² 0.2292, error 0.339
    assert advice.chosen == "dear"
    # with 1, 0, 0, 0 the mean is 0.25 and the error 0.354
    assert judged(dear=(91, 91, 92, 92), cheap=(90, 91, 92, 92)).chosen == "cheap"


def test_losses_are_paired_so_that_splits_hard_for_all_are_no_noise():
    found = {"dear": (70, 80, 90, 99), "cheap": (68, 78.1, 88, 97)}
    assert judged(**found).chosen == "dear"
    found["cheap"] = (97, 88, 78.1, 68)  # the same accuracies on other splits
    assert judged(**found).chosen == "cheap"


def test_of_equal_options_the_cheapest_is_both_best_and_chosen():
    advice = judged(dear=(90, 91), middle=(90, 91), cheap=(80, 81))
    assert (advice.best, advice.chosen, advice.rival) == ("middle", "middle", "dear")
    assert (advice.worse, advice.better, advice.equal) == (0, 0, 1)
    assert advice.certainty() == "sure"


def test_what_was_not_measured_on_every_split_is_not_judged():
    advice = judged(dear=(99, 99), middle=(90, 91, 92), cheap=(80, 82, 81))
    assert [one.option for one in advice.standings] == ["cheap", "middle"]
    assert advice.best == "middle"
    assert advice.standing("dear") is None


def test_how_sure_it_is_follows_from_the_paired_differences():
    clear = judged(dear=(95, 96, 95, 96), cheap=(80, 82, 81, 82))
    assert clear.chosen == "dear"
    assert clear.better > 0.99
    assert clear.certainty() == "sure"
    noisy = judged(dear=(99, 80, 95, 85), cheap=(85, 95, 80, 95))
    assert noisy.certainty() == "unsure"
    assert noisy.worse + noisy.better + noisy.equal == pytest.approx(1)


def test_a_margin_of_ten_points_makes_sure_what_one_point_leaves_open():
    found = {"dear": (92, 90, 91, 90), "cheap": (91, 91, 89, 92)}
    assert judged(**found).certainty() == "unsure"
    assert judged(margin=10.0, **found).certainty() == "sure"


def test_a_single_option_or_split_leaves_the_certainty_unknown():
    assert judged(cheap=(90, 91)).certainty() == "not known"
    single = judged(dear=(91,), cheap=(90,))
    assert single.chosen == "dear"
    assert single.certainty() == "not known"


def test_nothing_measured_is_nothing_to_recommend():
    with pytest.raises(CnnjaxError, match="no option was measured on every split"):
        judged(cheap=(90,), splits=2)
