"""Tests of the evaluation and of the load: run `python3 -m unittest` in this folder."""

import asyncio
import unittest

from load import describe, load
from report import InconsistentCounts, Provider, Row, jain, quantile, row, table

BUCKET = Provider(keys=4, per_second=5, window="bucket", latency=0.3)


def outcomes(answers: list, failed: list[int], **more) -> dict:
    return {"version": "1.2", "answers": answers, "failed": failed, "open": 0, "first_error": None} | more


def stats(good: int, refused: int = 0) -> dict:
    keys = [{"requests": good + refused}]
    return {"requests": good + refused, "statuses": {"200": good, "429": refused}, "keys": keys}


class Report(unittest.TestCase):
    def test_maximum_depends_on_the_window(self):
        maximum = {window: Provider(4, 5, window, 0.3).max_responses(60) for window in ("bucket", "sliding", "fixed")}
        self.assertEqual(maximum, {"bucket": 1220, "sliding": 1200, "fixed": 1220})

    def test_row_combines_client_and_provider_counts(self):
        answers = [(0, 1.0, 0.5), (0, 2.0, 0.7), (1, 2.1, 0.9)]
        result = row("a", outcomes(answers, [2, 0, 1]), stats(4, 7), BUCKET, 2)
        self.assertEqual((result.answered, result.upstream_429, result.failed, result.upstream), (3, 7, 3, 11))
        self.assertEqual((result.goodput, result.p50, result.p99), (3 / 60, 0.7, 0.9))
        self.assertAlmostEqual(result.jain, 9 / (3 * 5))

    def test_inconsistent_counts_are_rejected(self):
        answers = [(0, 1.0, 0.5), (0, 2.0, 0.5)]
        for impossible in (
            (answers, stats(1), 2),
            ([(0, 1.0, 0.5)] * 61, stats(61), 2),
            ([(0, 9.0, 0.5)], stats(1), 2),
        ):
            reported, upstream, seconds = impossible
            with self.assertRaises(InconsistentCounts):
                row("a", outcomes(reported, [0]), upstream, BUCKET, seconds)
        self.assertEqual(row("a", outcomes(answers, [0]), stats(2), BUCKET, 2).answered, 2)

    def test_fairness_and_quantiles(self):
        self.assertEqual([jain([3, 3, 3]), jain([9, 0, 0]), jain([0, 0])], [1.0, 1 / 3, 0.0])
        hundred = [float(value) for value in range(1, 101)]
        self.assertEqual([quantile(hundred, 0.5), quantile(hundred, 0.99)], [50.0, 99.0])
        self.assertEqual([quantile([4.0], 0.99), quantile([], 0.5)], [4.0, None])

    def test_table_shows_failures_and_rows_without_responses(self):
        def make_row(name: str, answers: list, **more) -> Row:
            return row(name, outcomes(answers, [3], **more), stats(len(answers), 5), BUCKET, 2)

        rows = [
            make_row("llmpool", [(0, 1.0, 0.5)] * 6),
            make_row("half", [(0, 1.0, 0.5)] * 3),
            make_row("none", [], first_error={"after": 0.25, "text": "Closed: no"}),
        ]
        lines = table(rows).splitlines()
        self.assertEqual([line.split()[-1] for line in lines[1:4]], ["-", "x", "-"])
        self.assertIn(" 2.00 x", lines[2])
        self.assertEqual(lines[-1], "none: 3 calls failed, the first after 0.2 s: Closed: no")


class Load(unittest.TestCase):
    def test_every_call_is_answered_failed_or_open(self):
        async def call(caller: int) -> None:
            if caller == 1:
                raise ValueError("no\n  luck")
            await asyncio.sleep(60 if caller == 2 else 0.001)

        reported = asyncio.run(load(call, callers=3, seconds=0.05, latency=0.01))
        self.assertEqual({caller for caller, _, _ in reported.answers}, {0})
        self.assertEqual((reported.failed[0], reported.failed[1] > 0, reported.failed[2], reported.open >= 1), (0, True, 0, True))
        self.assertEqual(reported.first_error["text"], "ValueError: no luck")

    def test_error_is_one_line_of_at_most_200_characters(self):
        self.assertEqual(len(describe(ValueError("x" * 500))), 200)


if __name__ == "__main__":
    unittest.main()
