"""The plan of a study: its runs, declared in an order in which each comes after those it needs.

The identity of a run is the hash of what determines its numbers, those of the runs it needs
included.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cnnjax.errors import CnnjaxError


@dataclass(frozen=True)
class Run:
    """One training and its measurement.

    Attributes:
      name: unique in its study, and a file name.
      config: all that determines the numbers, as JSON values.
      needs: names of the runs whose weights or rows it starts from.
      cost: multiply-adds, for the plan and the time that remains.
    """

    name: str
    config: Mapping[str, object]
    needs: tuple[str, ...] = ()
    cost: float = 0.0


class Plan:
    """The runs of a study in an order in which each comes after those it needs.

    Raises:
      CnnjaxError: two runs have the same name, or one needs a run that does not come before it.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs: dict[str, Run] = {}
        self.identities: dict[str, str] = {}
        for run in runs:
            if run.name in self.runs:
                raise CnnjaxError(f"two runs are named {run.name}; names must be unique")
            if missing := [need for need in run.needs if need not in self.runs]:
                raise CnnjaxError(
                    f"run {run.name} needs {', '.join(missing)}, which must come before it"
                )
            self.runs[run.name] = run
            self.identities[run.name] = digest(
                {"config": run.config, "needs": [self.identities[need] for need in run.needs]}
            )

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def needed(self) -> set[str]:
        """The runs that others start from."""
        return {need for run in self.runs.values() for need in run.needs}

    def find(self, name: str) -> Run:
        """The run of that name.

        Raises:
          CnnjaxError: there is none.
        """
        if name not in self.runs:
            names = list(self.runs)
            raise CnnjaxError(
                f"the plan has no run {name!r}; it has {', '.join(names[:6])}"
                f"{', ...' if len(names) > 6 else ''}; --list shows all {len(names)}"
            )
        return self.runs[name]


def digest(value: object) -> str:
    """SHA-256 of a JSON value, 64 hexadecimal digits; the order of keys does not matter."""
    canonical = json.dumps(value, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
