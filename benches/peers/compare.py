"""Runs the same load with llmpool and with its peers, one after the other, and prints the results.

Each subject is a process of its own (see `load.py`) and gets a new simulator that enforces its limits. All connections are to 127.0.0.1.
docs/benchmarks.md describes the subjects, their settings and the results.
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
from subjects import NotInstalled, log

CALLERS = 64
# Longer than the provider's window, so that the warm-up call does not reduce the measured quota.
PAUSE_AFTER_WARM_UP = 1.5
# In seconds. Importing the larger Python packages takes several.
START_TIMEOUT, END_TIMEOUT = 120.0, 30.0


class RunFailed(Exception):
    """A subject did not complete its run."""


def main() -> int:
    options = parse_arguments()
    seconds: int = options.seconds
    simulator, ours = subjects.build()
    commands = subjects.commands(options.only or subjects.NAMES, ours)
    rows: list[report.Row] = []
    failures: dict[str, str] = {}
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as folder:
        scenario, keys, provider = write_scenario(options.window, Path(folder))
        for name, command in commands.items():
            log(f"{name}: {seconds} s")
            try:
                counts, stats = measure(command, simulator, scenario, keys, provider, seconds, Path(folder))
                rows.append(report.row(name, counts, stats, provider, seconds))
            except (RunFailed, report.InconsistentCounts) as error:
                failures[name] = str(error)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    about = {
        "date": datetime.date.today().isoformat(),
        "seconds": seconds,
        "callers": CALLERS,
        "provider": vars(provider) | {"most": provider.max_responses(seconds)},
        "machine": machine,
        "load_before": load_before,
    }
    if options.json:
        print(json.dumps(about | {"rows": report.as_json(rows), "broken": failures}, indent=2))
    else:
        print(summary(about), end="\n\n")
        print(report.table(rows))
    for name, why in failures.items():
        log(f"{name}: no result: {why}")
    return 1 if failures else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench-peers", description="Measures how much of the limits of four keys many concurrent callers can use."
    )
    option = parser.add_argument
    names, windows = subjects.NAMES, ["bucket", "sliding", "fixed"]
    option("--seconds", type=whole_seconds, default=60, help="duration of each run in seconds (default 60)")
    option("--only", nargs="+", metavar="NAME", choices=names, help=f"subjects to run: {', '.join(names)}")
    option("--window", choices=windows, default="bucket", help="how the provider counts requests (default bucket)")
    option("--json", action="store_true", help="print all counts as JSON")
    return parser.parse_args()


def whole_seconds(text: str) -> int:
    seconds = int(text)
    if not 1 <= seconds <= 600:
        raise argparse.ArgumentTypeError("expected 1 to 600 seconds")
    return seconds


def write_scenario(window: str, folder: Path) -> tuple[Path, list[str], report.Provider]:
    """Writes the scenario with the given kind of window. Returns its path, its keys, and the properties of the provider."""
    scenario = json.loads((subjects.HERE / "provider.json").read_text())
    limits = [key["limits"] for key in scenario["keys"]]
    if any(limit != limits[0] or limit["per"] != 1 for limit in limits):
        raise SystemExit("bench-peers: provider.json: all keys must have the same limits, in requests per 1 s")
    for limit in limits:
        limit["window"] = window
    path = folder / "scenario.json"
    path.write_text(json.dumps(scenario))
    keys = [key["key"] for key in scenario["keys"]]
    return path, keys, report.Provider(len(keys), limits[0]["requests"], window, scenario["head_delay"])


def measure(
    command: Sequence[str],
    simulator: str,
    scenario: Path,
    keys: Sequence[str],
    provider: report.Provider,
    seconds: int,
    folder: Path,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs a subject. Returns its counts of calls and the provider's counts of requests."""
    with start_simulator(simulator, scenario) as url, start_subject(command, folder) as subject:
        task = {
            "url": url,
            "keys": keys,
            "per_second": provider.per_second,
            "callers": CALLERS,
            "seconds": seconds,
            "latency": provider.latency,
        }
        if subject.ask(task, START_TIMEOUT) != "ready":
            raise RunFailed(subject.last_error())
        time.sleep(PAUSE_AFTER_WARM_UP)
        http(url, "/stats/reset", "POST")
        result = subject.ask("go", seconds + END_TIMEOUT)
        if not result:
            raise RunFailed(subject.last_error())
        return json.loads(result), json.loads(http(url, "/stats"))


@contextlib.contextmanager
def start_simulator(simulator: str, scenario: Path) -> Iterator[str]:
    """Starts a new provider and yields its base URL."""
    command = [simulator, "sim", "--listen", "127.0.0.1:0", "--scenario", str(scenario)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise RunFailed("the simulator did not start")
            yield url
        finally:
            process.kill()


class Subject:
    """The process of a subject."""

    def __init__(self, process: "subprocess.Popen[str]", errors: Path) -> None:
        self.process, self.errors = process, errors

    def ask(self, message: Any, timeout: float) -> str:
        """Sends a message and returns the line of the reply, or an empty string if the subject exits or the timeout passes."""
        assert self.process.stdin is not None and self.process.stdout is not None
        timer = threading.Timer(timeout, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
            return self.process.stdout.readline().strip()
        except BrokenPipeError:
            return ""
        finally:
            timer.cancel()

    def last_error(self) -> str:
        """Stops the process and returns the last line of its stderr, which is the error of a traceback."""
        self.process.kill()
        lines = [line.strip() for line in self.errors.read_text(errors="replace").splitlines()]
        last = next((line[:200] for line in reversed(lines) if line), None)
        return last or "exited or timed out without an error message"


@contextlib.contextmanager
def start_subject(command: Sequence[str], folder: Path) -> Iterator[Subject]:
    errors, pipe = folder / "stderr", subprocess.PIPE
    popen_options: dict[str, Any] = {"cwd": folder, "env": environment(folder), "text": True}
    with (
        open(errors, "w") as stderr,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, **popen_options) as process,
    ):
        try:
            yield Subject(process, errors)
        finally:
            process.kill()


def environment(home: Path) -> dict[str, str]:
    """Returns an environment without keys, proxies and settings of the user. With it, no subject connects to other hosts."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return inherited | {
        "HOME": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # SimpleLLMFunc logs every prompt by default, which would take time.
        "LOG_LEVEL": "CRITICAL",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def http(url: str, path: str, method: str = "GET") -> bytes:
    # Ignores proxies from the environment.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(urllib.request.Request(url.removesuffix("/v1") + path, method=method), timeout=10) as response:
        return bytes(response.read())


def summary(about: dict[str, Any]) -> str:
    provider = about["provider"]
    return (
        f"{about['date']}, {about['machine']}, load average {about['load_before']:.1f} before the run\n"
        f"{about['callers']} callers for {about['seconds']} s over {provider['keys']} keys"
        f" with {provider['per_second']} requests per second each ({provider['window']}),"
        f" latency {provider['latency']} s: at most {provider['most']} responses"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotInstalled as error:
        log(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
