"""A plan as `--list` shows it: a table for people, JSON for programs that hand out its runs.

The JSON is one object:

| name | what |
|---|---|
| `format` | 1; another number where a name below changes its meaning |
| `study` | e.g. "dropout" |
| `command` | the words that give this very study, to be run in the project's folder |
| `out` | its folder |
| `runs` | a list in an order in which each run comes after those it needs |

and each run of it another:

| name | what |
|---|---|
| `name` | for `--only` |
| `needs` | the names of the runs that must be finished before it begins |
| `level` | 0 where it needs none, else one more than the highest of those; see below |
| `steps` | the length of its training |
| `cost` | multiply-adds |
| `state` | "finished", or "missing": not begun, half done, damaged or of another configuration |
| `identity` | of its configuration; the `result.json` of the finished run has the same |

The runs of a level can be done side by side once those of the levels below are finished.
"""

from collections.abc import Mapping, Sequence

from rich.table import Table

from cnnjax.studies.display import table
from cnnjax.studies.runs import Folder

FORMAT = 1


def levels(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many runs must be done one after the other before each.

    Args:
      needs: name of a run -> those that it needs, which come before it.

    >>> levels({"base": (), "copy": ("base",), "other": (), "both": ("copy", "other")})
    {'base': 0, 'copy': 1, 'other': 0, 'both': 2}
    """
    found: dict[str, int] = {}
    for name, needed in needs.items():
        found[name] = 1 + max((found[need] for need in needed), default=-1)
    return found


def plan_record(study: str, command: Sequence[str], folder: Folder) -> dict[str, object]:
    """The plan for programs, as JSON values; see above."""
    plan = folder.plan
    level = levels({name: run.needs for name, run in plan.runs.items()})
    return {
        "format": FORMAT,
        "study": study,
        "command": list(command),
        "out": str(folder.root),
        "runs": [
            {
                "name": name,
                "needs": list(run.needs),
                "level": level[name],
                "steps": int(run.config["steps"]),
                "cost": run.cost,
                "state": "finished" if folder.finished(name) else "missing",
                "identity": plan.identities[name],
            }
            for name, run in plan.runs.items()
        ],
    }


def plan_table(folder: Folder) -> Table:
    """The plan for people: every run, what it needs and what it costs."""
    runs = folder.plan.runs.values()
    rows = [
        (
            run.name,
            " ".join(run.needs),
            run.config["steps"],
            _billions(run.cost),
            "finished" if folder.finished(run.name) else "",
        )
        for run in runs
    ]
    total = _billions(sum(run.cost for run in runs))
    title = f"{len(rows)} runs, {total} billion multiply-adds in all"
    return table(title, ("run", "needs", "steps", "billion multiply-adds", "state"), rows)


def _billions(count: float) -> str:
    count /= 1e9
    return f"{count:,.0f}" if count >= 100 else f"{count:.2g}"
