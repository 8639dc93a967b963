"""Evaluates the counts of a run and formats the results. Uses no clock, process or network."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Optional, Sequence


@dataclass(frozen=True)
class Provider:
    """The properties of the provider, which every subject knows."""

    keys: int
    per_second: int  # per key
    window: str  # how the simulator counts requests: bucket, sliding or fixed
    latency: float  # of a response, in seconds

    def max_responses(self, seconds: int) -> int:
        """Returns the maximum number of requests that the provider admits in the given time: the result of an ideal client."""
        # A bucket is full at the start, and the run overlaps one more fixed window than it has seconds.
        spans = seconds if self.window == "sliding" else seconds + 1
        return self.keys * self.per_second * spans


@dataclass(frozen=True)
class Row:
    """The result of a run."""

    subject: str
    version: str
    goodput: float  # share of the provider's maximum, 0 to 1
    answered: int
    upstream_429: int
    failed: int
    open: int  # calls that had not ended in time
    jain: float  # Jain's fairness index over the responses per caller: 1 is even, 1/callers is one caller only
    p50: Optional[float]  # duration of an answered call in seconds, including waits and retries
    p99: Optional[float]
    upstream: int  # requests that the provider received
    per_key: Sequence[int]
    first_error: Optional[dict[str, Any]]


class InconsistentCounts(Exception):
    """The counts of the client and the provider contradict each other."""


def row(subject: str, outcomes: dict[str, Any], stats: dict[str, Any], provider: Provider, seconds: int) -> Row:
    """Evaluates a run by the subject's counts of calls and the provider's counts of requests."""
    served = [0] * len(outcomes["failed"])
    for caller, _ended, _took in outcomes["answers"]:
        served[caller] += 1
    took = sorted(took for _caller, _ended, took in outcomes["answers"])
    late = [ended for _caller, ended, _took in outcomes["answers"] if ended > seconds + provider.latency + 1]
    answered, good = sum(served), stats["statuses"].get("200", 0)
    if answered > good or answered > provider.max_responses(seconds) or late:
        raise InconsistentCounts(
            f"the subject reports {answered} responses, {len(late)} of them late;"
            f" the provider sent {good} and allows {provider.max_responses(seconds)}"
        )
    return Row(
        subject=subject,
        version=outcomes["version"],
        goodput=answered / provider.max_responses(seconds),
        answered=answered,
        upstream_429=stats["statuses"].get("429", 0),
        failed=sum(outcomes["failed"]),
        open=outcomes["open"],
        jain=jain(served),
        p50=quantile(took, 0.5),
        p99=quantile(took, 0.99),
        upstream=stats["requests"],
        per_key=[key["requests"] for key in stats["keys"]],
        first_error=outcomes["first_error"],
    )


def jain(served: Sequence[int]) -> float:
    """Returns Jain's fairness index; 0 if no caller received a response."""
    squares = sum(count * count for count in served)
    return sum(served) ** 2 / (len(served) * squares) if squares else 0.0


def quantile(ordered: Sequence[float], share: float) -> Optional[float]:
    """Returns the smallest value that at least the given share of the values does not exceed; `None` without values."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1] if ordered else None


COLUMNS = (
    "subject",
    "version",
    "goodput %",
    "answered",
    "upstream 429",
    "failed calls",
    "Jain",
    "p50 s",
    "p99 s",
    "llmpool has",
)
# The number of columns with text, which are aligned left; the others are aligned right.
TEXT_COLUMNS = 2


def table(rows: Sequence[Row]) -> str:
    """Formats the rows for a terminal, followed by the first failure of each. `llmpool has` is the ratio of llmpool's responses to those of the row."""
    ours = next((row.answered for row in rows if row.subject == "llmpool"), None)
    lines = [COLUMNS] + [cells(row, ours) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    formatted = [aligned(line, widths) for line in lines]
    errors = [first_failure(row, row.first_error) for row in rows if row.first_error]
    return "\n".join(formatted + ([""] + errors if errors else []))


def aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    words = [cell.ljust(width) for cell, width in zip(line[:TEXT_COLUMNS], widths)]
    numbers = [cell.rjust(width) for cell, width in zip(line[TEXT_COLUMNS:], widths[TEXT_COLUMNS:])]
    return "  ".join(words + numbers)


def first_failure(row: Row, error: dict[str, Any]) -> str:
    return f"{row.subject}: {row.failed} calls failed, the first after {error['after']:.1f} s: {error['text']}"


def cells(row: Row, ours: Optional[int]) -> tuple[str, ...]:
    compared = row.subject != "llmpool" and ours is not None and row.answered > 0
    return (
        row.subject,
        row.version,
        f"{row.goodput * 100:.1f}",
        str(row.answered),
        str(row.upstream_429),
        str(row.failed),
        f"{row.jain:.3f}",
        seconds(row.p50),
        seconds(row.p99),
        f"{ours / row.answered:.2f} x" if compared else "-",
    )


def seconds(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.2f}"


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns the rows with all their fields."""
    return [asdict(row) for row in rows]
