"""Runs the same load over llmpool and over its peers, one after the other, and shows what each made of it.

Each subject gets a provider of its own, a fresh simulator that keeps its limits, and is a process of its own (`load.py` says
what it does). Nothing leaves 127.0.0.1. What is compared, with which settings, and what it gave: docs/benchmarks.md
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Iterator, Sequence

import report
import subjects
from subjects import Unready, say

CALLERS = 64
# Longer than the provider's window, so that the call a subject warms up with costs nothing of what is measured.
REST = 1.5
# What a subject may take to start (Python's larger packages take seconds to import), and to end after its time is up.
START_WITHIN, END_WITHIN = 120.0, 30.0


class Broken(Exception):
    """A subject that did not get through its run."""


def main() -> int:
    options = parsed()
    seconds: int = options.seconds
    simulator, ours = subjects.build()
    commands = subjects.commands(options.only or subjects.NAMES, ours)
    rows: list[report.Row] = []
    broken: dict[str, str] = {}
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as folder:
        scenario, keys, provider = scenario_with(options.window, Path(folder))
        for name, command in commands.items():
            say(f"{name}: {seconds} s")
            try:
                seen, stats = measured(command, simulator, scenario, keys, provider, seconds, Path(folder))
                rows.append(report.row(name, seen, stats, provider, seconds))
            except (Broken, report.Disagree) as error:
                broken[name] = str(error)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    about = {
        "date": datetime.date.today().isoformat(),
        "seconds": seconds,
        "callers": CALLERS,
        "provider": vars(provider) | {"most": provider.most(seconds)},
        "machine": machine,
        "load_before": load_before,
    }
    if options.json:
        print(json.dumps(about | {"rows": report.as_json(rows), "broken": broken}, indent=2))
    else:
        print(summary(about), end="\n\n")
        print(report.table(rows))
    for name, why in broken.items():
        say(f"{name} gave no result: {why}")
    return 1 if broken else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench-peers", description="How much of four keys' limits a crowd of callers gets."
    )
    option = parser.add_argument
    names, windows = subjects.NAMES, ["bucket", "sliding", "fixed"]
    option("--seconds", type=whole_seconds, default=60, help="how long each subject is measured (default 60)")
    option("--only", nargs="+", metavar="NAME", choices=names, help=f"of {', '.join(names)}")
    option("--window", choices=windows, default="bucket", help="how the provider counts (default bucket)")
    option("--json", action="store_true", help="everything that was counted, as JSON")
    return parser.parse_args()


def whole_seconds(text: str) -> int:
    seconds = int(text)
    if not 1 <= seconds <= 600:
        raise argparse.ArgumentTypeError("takes 1 to 600 seconds")
    return seconds


def scenario_with(window: str, folder: Path) -> tuple[Path, list[str], report.Provider]:
    """The scenario of all subjects with its limits counted like this, its keys, and what they come to."""
    scenario = json.loads((subjects.HERE / "provider.json").read_text())
    limits = [key["limits"] for key in scenario["keys"]]
    if any(limit != limits[0] or limit["per"] != 1 for limit in limits):
        raise SystemExit("bench-peers: provider.json: every key needs the same limits, in requests per 1 s")
    for limit in limits:
        limit["window"] = window
    written = folder / "scenario.json"
    written.write_text(json.dumps(scenario))
    keys = [key["key"] for key in scenario["keys"]]
    return written, keys, report.Provider(len(keys), limits[0]["requests"], window, scenario["head_delay"])


def measured(
    command: Sequence[str],
    simulator: str,
    scenario: Path,
    keys: Sequence[str],
    provider: report.Provider,
    seconds: int,
    folder: Path,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a subject says of its calls, and its provider of the requests."""
    with simulated(simulator, scenario) as url, started(command, folder) as subject:
        task = {
            "url": url,
            "keys": keys,
            "per_second": provider.per_second,
            "callers": CALLERS,
            "seconds": seconds,
            "latency": provider.latency,
        }
        if subject.ask(task, START_WITHIN) != "ready":
            raise Broken(subject.last_words())
        time.sleep(REST)
        http(url, "/stats/reset", "POST")
        told = subject.ask("go", seconds + END_WITHIN)
        if not told:
            raise Broken(subject.last_words())
        return json.loads(told), json.loads(http(url, "/stats"))


@contextlib.contextmanager
def simulated(simulator: str, scenario: Path) -> Iterator[str]:
    """A provider that nobody has asked anything yet, by its base URL."""
    command = [simulator, "sim", "--listen", "127.0.0.1:0", "--scenario", str(scenario)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise Broken("the simulator did not start")
            yield url
        finally:
            process.kill()


class Subject:
    """A running subject."""

    def __init__(self, process: "subprocess.Popen[str]", errors: Path) -> None:
        self.process, self.errors = process, errors

    def ask(self, what: Any, within: float) -> str:
        """Says a line and returns the one it gets for it, empty where the subject ended or took too long."""
        assert self.process.stdin is not None and self.process.stdout is not None
        overdue = threading.Timer(within, self.process.kill)
        overdue.start()
        try:
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()
            return self.process.stdout.readline().strip()
        except BrokenPipeError:
            return ""
        finally:
            overdue.cancel()

    def last_words(self) -> str:
        """The last line it wrote to stderr: of a traceback, class and message."""
        self.process.kill()
        lines = [line.strip() for line in self.errors.read_text(errors="replace").splitlines()]
        said = next((line[:200] for line in reversed(lines) if line), None)
        return said or "it ended, or took too long, without a word"


@contextlib.contextmanager
def started(command: Sequence[str], folder: Path) -> Iterator[Subject]:
    errors, pipe = folder / "stderr", subprocess.PIPE
    surroundings: dict[str, Any] = {"cwd": folder, "env": environment(folder), "text": True}
    with (
        open(errors, "w") as stderr,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, **surroundings) as process,
    ):
        try:
            yield Subject(process, errors)
        finally:
            process.kill()


def environment(home: Path) -> dict[str, str]:
    """What a subject needs, and nothing of its user: no keys, no proxies, no settings. None of them calls home with this."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {
        "HOME": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # SimpleLLMFunc logs every prompt by default; what is not written costs it no time.
        "LOG_LEVEL": "CRITICAL",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def http(url: str, path: str, method: str = "GET") -> bytes:
    # A proxy from the environment is not for 127.0.0.1.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(urllib.request.Request(url.removesuffix("/v1") + path, method=method), timeout=10) as response:
        return bytes(response.read())


def summary(about: dict[str, Any]) -> str:
    provider = about["provider"]
    return (
        f"{about['date']}, {about['machine']}, load {about['load_before']:.1f} before\n"
        f"{about['callers']} callers for {about['seconds']} s over {provider['keys']} keys"
        f" of {provider['per_second']} requests a second each ({provider['window']}),"
        f" {provider['latency']} s to an answer: at most {provider['most']}"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unready as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
