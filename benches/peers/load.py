"""The load itself, for subjects in Python: callers that ask, wait for the answer, and ask again.

A subject is a process of its own. It reads its task as a line of JSON, gets ready, says `ready`, begins when it reads another
line, and ends with a line of JSON that says what became of every call. `crates/llmpool/benches/peers.rs` does the same.
Nothing is computed here, so that all subjects are judged by the same arithmetic.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable

# One call as caller number so-and-so; raises where it failed.
Call = Callable[[int], Awaitable[None]]
PROMPT = [{"role": "user", "content": "hi"}]
# What a caller does after a failure before it asks again. Without it, calls that fail without any exchange would keep the
# one thread to themselves and take it from those that are being answered.
PAUSE_AFTER_FAILURE = 0.05
LONGEST_ERROR = 200


@dataclass
class Seen:
    """What became of the calls. Times are seconds since the load began."""

    answers: list[tuple[int, float, float]] = field(default_factory=list)  # caller, when it ended, how long it took
    failed: list[int] = field(default_factory=list)  # by caller
    open: int = 0  # calls that had not ended when the time was up
    first_error: dict[str, Any] | None = None


def run(prepare: Callable[[dict[str, Any]], Awaitable[tuple[str, Call]]]) -> None:
    """Runs a subject. `prepare` is given the task and returns the subject's version and its call."""
    # A library that prints would end up between the lines that are read by the other side.
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task = json.loads(sys.stdin.readline())

    async def whole() -> None:
        version, call = await prepare(task)
        # What is done once is not what is measured. It may fail: then the others will tell.
        await asyncio.gather(call(0), return_exceptions=True)
        print("ready", file=told, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        seen = await load(call, task["callers"], task["seconds"], task["latency"])
        print(json.dumps({"version": version, **vars(seen)}), file=told, flush=True)
        # The calls that are still open end here. Waiting for them could take longer than the load itself.
        os._exit(0)

    asyncio.run(whole())


async def load(call: Call, callers: int, seconds: float, latency: float) -> Seen:
    """Calls begin for so many seconds; what was asked at the very end may take the provider's latency more."""
    seen = Seen(failed=[0] * callers)
    begun = time.monotonic()

    async def caller(number: int) -> None:
        while (asked := time.monotonic() - begun) < seconds:
            try:
                await call(number)
            except Exception as error:
                seen.failed[number] += 1
                if seen.first_error is None:
                    seen.first_error = {"after": time.monotonic() - begun, "text": described(error)}
                await asyncio.sleep(PAUSE_AFTER_FAILURE)
            else:
                ended = time.monotonic() - begun
                seen.answers.append((number, ended, ended - asked))

    _, late = await asyncio.wait(
        [asyncio.create_task(caller(number)) for number in range(callers)], timeout=seconds + latency
    )
    seen.open = len(late)
    return seen


def described(error: BaseException) -> str:
    """Class and message on one line, shortened."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_ERROR]
