"""What the counts of a run mean, and how they are shown. No clock, no process, no network."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Optional, Sequence


@dataclass(frozen=True)
class Provider:
    """What the provider gives, which is what every subject is told."""

    keys: int
    per_second: int  # of each key
    window: str  # how the simulator counts that: bucket, sliding or fixed
    latency: float  # of an answer, in seconds

    def most(self, seconds: int) -> int:
        """How many requests it would let pass in so many whole seconds: what an ideal client gets answered."""
        # A bucket is full at the start, and a span of so many seconds touches one fixed window more.
        spans = seconds if self.window == "sliding" else seconds + 1
        return self.keys * self.per_second * spans


@dataclass(frozen=True)
class Row:
    """A subject's run."""

    subject: str
    version: str
    goodput: float  # of the provider's most, 0 to 1
    answered: int
    upstream_429: int
    failed: int
    open: int  # calls that had not ended when the time was up
    jain: float  # over the callers' answers: 1 is even, 1/callers is all for one
    p50: Optional[float]  # seconds of an answered call, waits and retries included
    p99: Optional[float]
    upstream: int  # requests that the provider saw
    per_key: Sequence[int]
    first_error: Optional[dict[str, Any]]


class Disagree(Exception):
    """Client and provider cannot both be right."""


def row(subject: str, seen: dict[str, Any], stats: dict[str, Any], provider: Provider, seconds: int) -> Row:
    """Judges a run by what the subject says of its calls and the provider of its requests."""
    served = [0] * len(seen["failed"])
    for caller, _ended, _took in seen["answers"]:
        served[caller] += 1
    took = sorted(took for _caller, _ended, took in seen["answers"])
    late = [ended for _caller, ended, _took in seen["answers"] if ended > seconds + provider.latency + 1]
    answered, good = sum(served), stats["statuses"].get("200", 0)
    if answered > good or answered > provider.most(seconds) or late:
        raise Disagree(
            f"it counts {answered} answers, {len(late)} of them late;"
            f" the provider gave {good} and had {provider.most(seconds)} to give"
        )
    return Row(
        subject=subject,
        version=seen["version"],
        goodput=answered / provider.most(seconds),
        answered=answered,
        upstream_429=stats["statuses"].get("429", 0),
        failed=sum(seen["failed"]),
        open=seen["open"],
        jain=jain(served),
        p50=quantile(took, 0.5),
        p99=quantile(took, 0.99),
        upstream=stats["requests"],
        per_key=[key["requests"] for key in stats["keys"]],
        first_error=seen["first_error"],
    )


def jain(served: Sequence[int]) -> float:
    """Jain's index of fairness; 0 where nobody got anything."""
    squares = sum(count * count for count in served)
    return sum(served) ** 2 / (len(served) * squares) if squares else 0.0


def quantile(ordered: Sequence[float], share: float) -> Optional[float]:
    """The smallest of the ordered values that so large a share of them does not exceed."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1] if ordered else None


HEAD = (
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
# Words go to the left, numbers to the right.
WORDS = 2


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal, and below them what the first failure of each was. `llmpool has` so many times its answers."""
    ours = next((row.answered for row in rows if row.subject == "llmpool"), None)
    lines = [HEAD] + [cells(row, ours) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    shown = [aligned(line, widths) for line in lines]
    errors = [first_failure(row, row.first_error) for row in rows if row.first_error]
    return "\n".join(shown + ([""] + errors if errors else []))


def aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    words = [cell.ljust(width) for cell, width in zip(line[:WORDS], widths)]
    numbers = [cell.rjust(width) for cell, width in zip(line[WORDS:], widths[WORDS:])]
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
    """The rows with all their fields."""
    return [asdict(row) for row in rows]
