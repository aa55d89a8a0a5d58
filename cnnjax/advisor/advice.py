"""Which of several options to take, from their accuracies on the same splits of one data set.

The rule is that of one standard error (Breiman, Friedman, Olshen & Stone 1984, section 3.4.3): of
all options that lose no more against the best than the standard error of that loss, the cheapest.
The loss is paired, taken on each split, and its error is corrected for the overlap of the training
sets (`resampling`). What is given up by not taking the best is known with as much certainty as the
same numbers allow, and said.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from cnnjax.errors import CnnjaxError
from cnnjax.studies.resampling import Resampled, resampled
from cnnjax.studies.statistics import values

MARGIN = 1.0
"""Points of accuracy below which a difference is of no consequence in practice."""


class Standing(NamedTuple):
    """One option that was measured on every split.

    Attributes:
      option: its name.
      accuracy: in %, over the splits.
      loss: accuracy of the best option less its own, paired, in points.
      within_noise: whether that loss is at most its standard error.
    """

    option: str
    accuracy: Resampled
    loss: Resampled
    within_noise: bool


class Advice(NamedTuple):
    """What the splits say.

    Attributes:
      standings: of the options measured on every split, cheapest first.
      best: the option of the highest mean accuracy; of several, the cheapest.
      chosen: the cheapest that is within the noise of the best.
      rival: what `chosen` is to be judged against: the best, or where that was chosen, the option
        of the next highest mean; None where nothing else was measured.
      gain: accuracy of the chosen less that of the rival, paired, in points.
      worse: the probability that the chosen is worse than the rival by more than the margin; NaN
        where it is not known.
      better: likewise better.
    """

    standings: tuple[Standing, ...]
    best: str
    chosen: str
    rival: str | None
    gain: Resampled | None
    worse: float
    better: float

    def standing(self, option: str) -> Standing | None:
        """That of an option; None if it was not measured on every split."""
        return next((one for one in self.standings if one.option == option), None)

    @property
    def equal(self) -> float:
        """The probability that chosen and rival differ by less than the margin."""
        return 1 - self.worse - self.better

    def certainty(self) -> str:
        """How sure it is that no more than the margin is lost, in a word or two.

        95 % is what an interval promises; 80 % what one bets on if it costs little to be wrong.
        """
        if self.rival is None or math.isnan(self.worse):
            return "not known"
        if self.worse <= 0.05:
            return "sure"
        return "fairly sure" if self.worse <= 0.2 else "unsure"


def advise(
    rows: Sequence[Mapping],
    costs: Mapping[str, float],
    splits: int,
    test_to_train: float,
    margin: float = MARGIN,
) -> Advice:
    """Chooses among the options that were measured on every split.

    Args:
      rows: of results, with columns `option`, `split` (from 0 on) and `accuracy` in %.
      costs: of the options, in any unit, by which "cheapest" is meant.
      splits: how many there are; options with fewer are left out.
      test_to_train: n_test / n_train.
      margin: points of accuracy that are of no consequence.

    Raises:
      CnnjaxError: no option was measured on every split.

    >>> rows = [
    ...     {"option": option, "split": split, "accuracy": accuracy}
    ...     for option, found in {"a": (80, 81, 82), "b": (90, 94, 92), "c": (91, 93, 93)}.items()
    ...     for split, accuracy in enumerate(found)
    ... ]
    >>> advice = advise(rows, {"a": 1, "b": 2, "c": 3}, splits=3, test_to_train=0.5)
    >>> advice.best, advice.chosen, round(advice.gain.mean, 2)
    ('c', 'b', -0.33)
    """
    by_option = {
        option: found
        for option in sorted(costs, key=costs.__getitem__)
        if len(found := _by_split(rows, option)) == splits
    }
    if not by_option:
        raise CnnjaxError(
            "no option was measured on every split, so nothing can be recommended; give a larger "
            "--budget"
        )

    against = partial(difference, rows, test_to_train=test_to_train)
    accuracies = {
        option: resampled([found[split] for split in range(splits)], test_to_train)
        for option, found in by_option.items()
    }
    best = max(by_option, key=lambda option: accuracies[option].mean)  # the first of equal ones
    standings = []
    for option in by_option:
        loss = against(best, option)
        within = option == best or loss.mean <= (0.0 if math.isnan(loss.error) else loss.error)
        standings.append(Standing(option, accuracies[option], loss, within))
    chosen = next(one.option for one in standings if one.within_noise)
    others = [option for option in by_option if option != chosen]
    rival = max(others, key=lambda option: accuracies[option].mean) if others else None
    if rival is None:
        return Advice(tuple(standings), best, chosen, None, None, math.nan, math.nan)
    gain = against(chosen, rival)
    worse, better = gain.chance_below(-margin), 1 - gain.chance_below(margin)
    return Advice(tuple(standings), best, chosen, rival, gain, worse, better)


def difference(rows: Sequence[Mapping], one: str, other: str, *, test_to_train: float) -> Resampled:
    """Accuracy of one option less that of another, on the splits that both were measured on.

    Args:
      rows: as of `advise`.
      one: option.
      other: option.
      test_to_train: n_test / n_train.

    Raises:
      CnnjaxError: they have no split in common.
    """
    a, b = _by_split(rows, one), _by_split(rows, other)
    return resampled([a[split] - b[split] for split in sorted(a.keys() & b)], test_to_train)


def _by_split(rows: Sequence[Mapping], option: str) -> dict[object, float]:
    renamed = [{**row, "seed": row.get("split")} for row in rows if row.get("option") == option]
    return values(renamed, "accuracy")
