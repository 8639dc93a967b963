"""LiteLLM's router with one deployment per key, each with the rpm that the provider allows.

The argument selects the settings. The environment that `compare.py` sets prevents the download of a price list and telemetry.
"""

import sys
from importlib.metadata import version
from typing import Any

import litellm
from litellm import Router

from load import PROMPT, Call, run

litellm.telemetry = False

SETTINGS: dict[str, dict[str, Any]] = {
    # The default, recommended by the documentation.
    "shuffle": {"routing_strategy": "simple-shuffle"},
    # Routes by how much of its rpm each deployment has used.
    "usage": {"routing_strategy": "usage-based-routing-v2"},
    # The best of fifteen combinations (docs/benchmarks.md): no cooldowns, six attempts per call.
    "patient": {
        "routing_strategy": "simple-shuffle",
        "disable_cooldowns": True,
        "num_retries": 5,
        "retry_after": 1,
    },
}


async def prepare(task: dict[str, Any]) -> tuple[str, Call]:
    deployments = [
        {
            "model_name": "m",
            "litellm_params": {
                "model": "openai/m",
                "api_key": key,
                "api_base": task["url"],
                "rpm": task["per_second"] * 60,
            },
        }
        for key in task["keys"]
    ]
    router = Router(model_list=deployments, **SETTINGS[sys.argv[1]])

    async def call(_caller: int) -> None:
        await router.acompletion(model="m", messages=PROMPT)

    return version("litellm"), call


run(prepare)
