"""The load for subjects in Python: callers that send a request, wait for the response, and send the next one.

A subject is a process of its own. It reads its task as a line of JSON, prepares, prints `ready`, begins when it reads another line, and prints
the outcome of all calls as a line of JSON. `crates/llmpool/benches/peers.rs` does the same for llmpool. Neither computes statistics, so that all
subjects are evaluated by the same code.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable

# Makes one call for the caller with the given number. Raises if it fails.
Call = Callable[[int], Awaitable[None]]
PROMPT = [{"role": "user", "content": "hi"}]
# The pause of a caller after a failed call, in seconds. Without it, calls that fail without sending a request would use the thread that the
# other calls need.
PAUSE_AFTER_FAILURE = 0.05
MAX_ERROR_LENGTH = 200


@dataclass
class Outcomes:
    """The outcomes of all calls. Times are in seconds since the start of the load."""

    answers: list[tuple[int, float, float]] = field(default_factory=list)  # caller, end, duration
    failed: list[int] = field(default_factory=list)  # number of failed calls by caller
    open: int = 0  # calls that had not ended in time
    first_error: dict[str, Any] | None = None


def run(prepare: Callable[[dict[str, Any]], Awaitable[tuple[str, Call]]]) -> None:
    """Runs a subject. `prepare` receives the task and returns the version of the subject and a function that makes a call."""
    # Libraries may print to stdout, which would be read as part of the protocol.
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task = json.loads(sys.stdin.readline())

    async def run_task() -> None:
        version, call = await prepare(task)
        # A warm-up call keeps one-time costs out of the measurement. If it fails, so do the measured calls.
        await asyncio.gather(call(0), return_exceptions=True)
        print("ready", file=protocol, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        outcomes = await load(call, task["callers"], task["seconds"], task["latency"])
        print(json.dumps({"version": version, **vars(outcomes)}), file=protocol, flush=True)
        # Open calls are abandoned: they could take longer than the load itself.
        os._exit(0)

    asyncio.run(run_task())


async def load(call: Call, callers: int, seconds: float, latency: float) -> Outcomes:
    """Starts calls for the given time. Calls that begin at the very end have the provider's latency more to complete."""
    outcomes = Outcomes(failed=[0] * callers)
    start = time.monotonic()

    async def caller(number: int) -> None:
        while (began := time.monotonic() - start) < seconds:
            try:
                await call(number)
            except Exception as error:
                outcomes.failed[number] += 1
                if outcomes.first_error is None:
                    outcomes.first_error = {"after": time.monotonic() - start, "text": describe(error)}
                await asyncio.sleep(PAUSE_AFTER_FAILURE)
            else:
                ended = time.monotonic() - start
                outcomes.answers.append((number, ended, ended - began))

    _, late = await asyncio.wait(
        [asyncio.create_task(caller(number)) for number in range(callers)], timeout=seconds + latency
    )
    outcomes.open = len(late)
    return outcomes


def describe(error: BaseException) -> str:
    """Returns the class and the message on one line, truncated."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:MAX_ERROR_LENGTH]
