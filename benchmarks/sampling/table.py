"""Rows of the tables here: a strategy run several times, all its texts together, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import structgen as sg
from benchmarks.publish import ROOT, provenance, publish
from structgen.sampling import DecodingStrategy, Samples, SamplingFailed, Seeded, Target
from structgen.sampling.logspace import logsumexp

__all__ = ["ANYTHING", "Pool", "Row", "Task", "measure", "publish_table"]

README = ROOT / "benchmarks" / "sampling" / "README.md"
ANYTHING = sg.potential(lambda text: True)
Columns = Mapping[str, Callable[[str], float]]


class Pool:
    """The texts of several runs. Their weights can be compared, for the mean of each run's estimates the same Z; without
    ``is_weighted`` all texts count alike."""

    def __init__(self, runs: Sequence[Samples], is_weighted: bool = True) -> None:
        self.runs, self.texts = runs, [text for run in runs for text in run.texts]
        log_weights = np.concatenate([run.log_weights for run in runs]) * is_weighted
        self.weights = np.exp(log_weights - logsumexp(log_weights))

    def mean(self, value: Callable[[str], float]) -> float:
        """Of a value of the texts, weighted."""
        return float(sum(weight * value(text) for text, weight in zip(self.texts, self.weights, strict=True)))

    @property
    def log_prob(self) -> float:
        """The mean of log P(text), weighted; in nats."""
        return float(self.weights @ np.concatenate([run.log_probs for run in self.runs]))

    @property
    def log_evidence(self) -> float:
        """log Z."""
        return float(logsumexp(np.array([run.log_evidence for run in self.runs])) - np.log(len(self.runs)))


@dataclass(frozen=True)
class Task:
    """A model and what is to be measured of its texts (between 0 and 1), by column. ``target``: of a constraint."""

    target: Callable[[Any], Target]
    columns: Columns


@dataclass(frozen=True)
class Row:
    """A strategy under a constraint, with seeds 0, 1, and so on."""

    name: str
    constraint: Any
    strategy: DecodingStrategy
    runs: int = 1
    is_weighted: bool = True


def measure(row: Row, tasks: Sequence[Task]) -> str:
    """The row in markdown, over all tasks; printed, too. Tasks of which no text was complete count 0 in the columns."""
    pools = [Pool(_runs(row, task), row.is_weighted) for task in tasks]
    runs = [run for pool in pools for run in pool.runs]
    done = [pool for pool in pools if pool.texts]
    evaluations, prefixes = (sum(getattr(run, cost) for run in runs) for cost in ("constraint_evaluations", "sequences"))
    tests = f"{evaluations / prefixes:,.1f}" if row.constraint is not ANYTHING else ""
    fewer = f"{runs[0].target.model.size * prefixes / evaluations:,.0f}" if tests and not any(run.masks for run in runs) else ""
    cells = [
        row.name,
        f"{sum(len(pool.texts) for pool in pools):,} of {sum(run.draws for run in runs):,}",
        f"{sum(len(set(pool.texts)) for pool in pools):,}",
        *(
            f"{sum(pool.mean(task.columns[name]) for pool, task in zip(pools, tasks, strict=True) if pool.texts) / len(tasks):.0%}"
            for name in tasks[0].columns
        ),
        f"{np.mean([pool.log_prob for pool in done]):.1f}",
        f"{np.mean([pool.log_evidence for pool in done]):.2f}",
        tests,
        fewer,
    ]
    line = f"| {' | '.join(cells)} |"
    print(line, flush=True)
    return line


def _runs(row: Row, task: Task) -> list[Samples]:
    found = []
    for seed in range(row.runs):
        try:
            found.append(row.strategy(task.target(row.constraint), Seeded(seed)))
        except SamplingFailed as failure:
            found.append(failure.samples)
    return found


def publish_table(section: str, command: str, columns: Columns, rows: Sequence[str]) -> None:
    """Into README.md, with the meaning of the columns."""
    head = ["strategy", "texts", "distinct", *columns, "log P", "log Z", "tests per prefix", "fewer than a mask"]
    lines = [f"| {' | '.join(head)} |", "|:--|" + "--:|" * (len(head) - 1), *rows]
    publish(section, provenance(command) + "\n\n" + "\n".join(lines), README)
