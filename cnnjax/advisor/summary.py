"""What the advisor's rows come to: an entry an option, the advice, and what the lectures say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple

from cnnjax.advisor.advice import Advice, advise, difference
from cnnjax.advisor.lectures import Counsel, Likeness, compare, estimate, size_of
from cnnjax.advisor.options import Option
from cnnjax.studies.resampling import Resampled, resampled
from cnnjax.studies.runs import Row
from cnnjax.transfer.decision_tables import Size, recommend


class Entry(NamedTuple):
    """One option as it was measured.

    Attributes:
      option: its name, label, case and cost.
      accuracy: in %, over the splits done; None where there are none.
      loss: paired, against the best, in points; None where it was not measured on every split.
      splits: done.
      parameters: trained, those of a probe's classifier included.
      seconds: of one training, the features of frozen stages included.
      estimate: seconds that were missing in the budget, where it was left out; 0 elsewhere.
    """

    option: Option
    accuracy: Resampled | None
    loss: Resampled | None
    splits: int
    parameters: int | None
    seconds: float | None
    estimate: float


@dataclass(frozen=True)
class Summary:
    """All that the page says, from the rows alone.

    Attributes:
      entries: an option each, cheapest first.
      advice: the choice.
      size: of the data set, as the lectures' tables have it.
      likeness: of the images.
      counsels: of the lectures.
      disagreement: among the lectures, in a sentence; "" where there is none.
      silent: the tables that have no answer.
      spoilt: fine-tunings that ended below the classifier that they began with, beyond the noise.
    """

    entries: tuple[Entry, ...]
    advice: Advice
    size: Size
    likeness: Likeness
    counsels: tuple[Counsel, ...]
    disagreement: str
    silent: tuple[str, ...]
    spoilt: tuple[Entry, ...]

    def entry(self, option: str) -> Entry:
        """That of an option."""
        return next(entry for entry in self.entries if entry.option.name == option)

    @property
    def chosen(self) -> Entry:
        """The option that is recommended."""
        return self.entry(self.advice.chosen)


def summarise(
    rows: Sequence[Row],
    options: Mapping[str, Option],
    *,
    splits: int,
    test_to_train: float,
    margin: float,
    per_class: float,
    similarity: Literal["similar", "different"] | None,
    left_out: Mapping[str, float],
    stage_seconds: Mapping[str, float],
) -> Summary:
    """Makes the summary.

    Args:
      rows: of results.
      options: by name, cheapest first.
      splits: that a whole option has.
      test_to_train: n_test / n_train.
      margin: points of accuracy that are of no consequence.
      per_class: training images a class.
      similarity: as the user says; estimated where it is None.
      left_out: {option: estimated seconds}.
      stage_seconds: of the forward pass of one image.

    Raises:
      CnnjaxError: no option was measured on every split.
    """
    costs = {name: option.cost for name, option in options.items()}
    advice = advise(rows, costs, splits, test_to_train, margin)
    entries = tuple(
        _entry(option, rows, advice, test_to_train, left_out.get(name, 0.0), stage_seconds)
        for name, option in options.items()
    )
    size = size_of(per_class)
    likeness = (
        Likeness(similarity, "as --similarity says")
        if similarity
        else estimate(rows, advice, options, test_to_train)
    )
    counsels, disagreement, silent = (), "", ()
    if likeness.similarity is not None:
        said = recommend(size, likeness.similarity)
        counsels = tuple(
            compare(one, advice, options, rows, test_to_train) for one in said.decisions
        )
        disagreement, silent = said.disagreement, said.silent
    spoilt = tuple(
        entry for entry in entries if _is_spoilt(entry, rows, advice, options, test_to_train)
    )
    return Summary(entries, advice, size, likeness, counsels, disagreement, silent, spoilt)


def _entry(
    option: Option,
    rows: Sequence[Row],
    advice: Advice,
    test_to_train: float,
    missing: float,
    stage_seconds: Mapping[str, float],
) -> Entry:
    mine = [row for row in rows if row["option"] == option.name]
    if not mine:
        return Entry(option, None, None, 0, None, None, missing)
    standing = advice.standing(option.name)
    return Entry(
        option,
        resampled([row["accuracy"] for row in mine], test_to_train),
        standing and standing.loss,
        len(mine),
        mine[0]["parameters"],
        # The median over the splits forgets the first, which compiles; frozen stages are passed
        # once for each image.
        median(row["seconds"] for row in mine)
        + option.images * sum(stage_seconds.get(stage, 0.0) for stage in option.frozen),
        missing,
    )


def _is_spoilt(
    entry: Entry,
    rows: Sequence[Row],
    advice: Advice,
    options: Mapping[str, Option],
    test_to_train: float,
) -> bool:
    start = [name for name, option in options.items() if option.stage is not None][-1]
    if entry.option.case not in (2, 3) or entry.loss is None or advice.standing(start) is None:
        return False
    lead = difference(rows, entry.option.name, start, test_to_train=test_to_train)
    return lead.interval().high < 0


def seconds_of(curves: Sequence[Row]) -> dict[str, float]:
    """{stage: seconds of its forward pass for one image}, from the rows of the curves."""
    return {row["stage"]: row["seconds_per_image"] for row in curves}
