"""SimpleLLMFunc's interface with the capacity and rate of the provider's buckets. The argument selects how the keys are used."""

import sys
from importlib.metadata import version
from typing import Any

from SimpleLLMFunc.interface import APIKeyPool, OpenAICompatible

from load import PROMPT, Call, run


async def prepare(task: dict[str, Any]) -> tuple[str, Call]:
    keys: list[str] = task["keys"]
    if sys.argv[1] == "pool":
        # As documented: one interface with a pool of all keys.
        interfaces = [interface(task, keys, "m")]
    else:
        # One interface per key, with the callers distributed among them: a change of the key closes the client of an interface while other
        # calls use it. Buckets belong to model names, so each interface has its own name.
        interfaces = [interface(task, [key], f"m-{number}") for number, key in enumerate(keys)]

    async def call(caller: int) -> None:
        await interfaces[caller % len(interfaces)].chat(messages=PROMPT)

    return version("SimpleLLMFunc"), call


def interface(task: dict[str, Any], keys: list[str], model: str) -> OpenAICompatible:
    allowed = task["per_second"] * len(keys)
    return OpenAICompatible(
        api_key_pool=APIKeyPool(keys, model),
        model_name=model,
        base_url=task["url"],
        rate_limit_capacity=allowed,
        rate_limit_refill_rate=float(allowed),
    )


run(prepare)
