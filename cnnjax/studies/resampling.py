"""What repeated splits of one data set allow one to say.

The training sets of cross-validation share images, so that accuracies on the splits are not
independent and Student's interval of their mean is too narrow. Nadeau & Bengio 2003 ("Inference
for the generalization error", Machine Learning 52) put the correlation of two splits at
rho = n_test / (n_test + n_train), and with it the variance of the mean of J splits at

    (1 / J + n_test / n_train) s²

where s² is the variance between the splits. Everything here is that corrected resampled t-test, or
the Bayesian reading of the same numbers (Corani & Benavoli 2015, "A Bayesian approach for comparing
cross-validated algorithms on multiple data sets"): with a flat prior the true mean is Student
distributed about the mean of the splits, with that variance and J - 1 degrees of freedom.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats has them too, and takes a second to import

from cnnjax.errors import CnnjaxError
from cnnjax.studies.statistics import Interval


class Resampled(NamedTuple):
    """The mean over splits and how well it is known.

    Attributes:
      mean: over the splits.
      error: its corrected standard error; NaN for a single split.
      count: the number of splits.
    """

    mean: float
    error: float
    count: int

    def interval(self, confidence: float = 0.95) -> Interval:
        """mean ± t · error, with J - 1 degrees of freedom.

        Args:
          confidence: in (0, 1).
        """
        if self.count < 2:
            return Interval(self.mean, math.nan, math.nan, self.count)
        half = float(stdtrit(self.count - 1, (1 + confidence) / 2)) * self.error
        return Interval(self.mean, self.mean - half, self.mean + half, self.count)

    def chance_below(self, value: float) -> float:
        """The probability that the true mean is below `value`; NaN for a single split."""
        if self.count < 2:
            return math.nan
        if self.error == 0:
            return float(self.mean < value)
        return float(stdtr(self.count - 1, (value - self.mean) / self.error))


def resampled(values: Sequence[float], test_to_train: float) -> Resampled:
    """What one value for each split says of their true mean.

    Args:
      values: accuracies, or paired differences of them, one for each split.
      test_to_train: n_test / n_train, 1 / (K - 1) for K folds.

    Raises:
      CnnjaxError: there are no values.

    >>> found = resampled([90.0, 92.0, 91.0, 93.0, 89.0], test_to_train=1 / 4)
    >>> print(found.mean, round(found.error, 4), found.interval())
    91.0 1.0607 +91.0 [+88.1, +93.9]
    """
    if len(values) == 0:
        raise CnnjaxError("no splits to take the mean of; give at least one")
    array = np.asarray(values, np.float64)
    count = len(array)
    if count == 1:
        return Resampled(float(array[0]), math.nan, 1)
    variance = (1 / count + test_to_train) * float(array.var(ddof=1))
    return Resampled(float(array.mean()), math.sqrt(variance), count)
