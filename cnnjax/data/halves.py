"""Two halves of the classes, A and B: the source and the target of a transfer."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnjax.errors import CnnjaxError


def random_halves(num_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes dealt at random into A and B; with an odd number, A has one more.

    A is `RandomState(seed).choice(num_classes, size, replace=False)`, sorted, and B the rest: for
    1,000 classes the very halves of Yosinski et al. 2014 (`make_reduced_dataset.py` of their
    code, seeds 0 to 3).

    Args:
        num_classes: at least 2.
        seed: 0 to 2^32 - 1.

    Returns:
        A, B: sorted class numbers, int64 `[ceil(num_classes / 2)]` and `[floor(num_classes / 2)]`.

    Raises:
        CnnjaxError: fewer than two classes, or a seed out of range.

    >>> [half.tolist() for half in random_halves(5, seed=0)]
    [[0, 1, 2], [3, 4]]
    """
    if num_classes < 2:
        raise CnnjaxError(
            f"{num_classes} class cannot be halved; expected at least 2; choose another data set"
        )
    if not 0 <= seed < 2**32:
        raise CnnjaxError(
            f"the seed {seed} is out of range; expected 0 to 2^32 - 1; choose another"
        )
    random = np.random.RandomState(seed)
    half_a = np.sort(random.choice(num_classes, -(-num_classes // 2), replace=False))
    return half_a, np.setdiff1d(np.arange(num_classes), half_a)


def group_halves(
    classes: Sequence[str], groups: Sequence[str], group: str
) -> tuple[np.ndarray, np.ndarray]:
    """A is the classes of one group (an alphabet, say), B all the others: dissimilar domains.

    Raises:
        CnnjaxError: classes without groups, an unknown group, or one that holds every class.

    >>> a, b = group_halves(("A", "Ж", "B"), ("latin", "cyrillic", "latin"), "latin")
    >>> a.tolist(), b.tolist()
    ([0, 2], [1])
    """
    if len(groups) != len(classes):
        raise CnnjaxError(
            f"the classes cannot be halved by the group {group!r}: there are {len(groups)} groups "
            f"for {len(classes)} classes; choose a data set with groups, such as glyphs"
        )
    inside = np.array([name == group for name in groups])
    if not inside.any() or inside.all():
        raise CnnjaxError(
            f"the group {group!r} holds {inside.sum()} of the {len(classes)} classes; expected "
            f"some but not all; the groups are {_shortened(dict.fromkeys(groups))}"
        )
    return np.flatnonzero(inside), np.flatnonzero(~inside)


def halves_from_file(path: str | Path, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """A and B by name, from a JSON file `{"A": ["cat", "dog"], "B": ["car"]}`.

    Classes that neither names are left out. The halves come in the order of the file.

    Raises:
        CnnjaxError: a file that cannot be read or is of another form, and names that are unknown,
            repeated, or in both halves.
    """
    try:
        content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise CnnjaxError(
            f"cannot read the halves from {str(path)!r}: {error.strerror}; give a JSON file"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CnnjaxError(f"{str(path)!r} is no JSON ({error}); {_FORM}; mend the file") from None
    if not isinstance(content, dict) or set(content) != {"A", "B"}:
        found = f"the keys {_shortened(content)}" if isinstance(content, dict) else "no object"
        raise CnnjaxError(f"{str(path)!r} holds {found}; {_FORM}; mend the file")
    numbers = {name: number for number, name in enumerate(classes)}
    seen: dict[str, str] = {}
    for half, names in content.items():
        if not isinstance(names, list) or not names:
            raise CnnjaxError(f"half {half} in {str(path)!r} lists no class; {_FORM}; add some")
        unknown = [name for name in names if not isinstance(name, str) or name not in numbers]
        if unknown:
            raise CnnjaxError(
                f"half {half} in {str(path)!r} names unknown classes: {_shortened(unknown)}; "
                f"the {len(classes)} classes are {_shortened(classes)}; mend the names"
            )
        for name in names:
            if name in seen:
                where = f"twice in half {half}" if seen[name] == half else "in both halves"
                raise CnnjaxError(
                    f"the class {name!r} is {where} of {str(path)!r}; expected each class at most "
                    "once; take one out"
                )
            seen[name] = half
    half_a, half_b = (
        np.array([numbers[name] for name in content[half]], np.int64) for half in ("A", "B")
    )
    return half_a, half_b


_FORM = 'expected {"A": [class names], "B": [class names]}'


def _shortened(names: object, limit: int = 12) -> str:
    listed = [str(name) for name in names]
    more = [f"... ({len(listed) - limit} more)"] if len(listed) > limit else []
    return ", ".join(listed[:limit] + more) or "none"
