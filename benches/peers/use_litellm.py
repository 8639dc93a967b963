"""LiteLLM's router over a deployment for each key, each with the rpm that the provider allows.

The argument names its settings. It loads no price list and reports to nobody; `compare.py` gives it the environment for that.
"""

import sys
from importlib.metadata import version
from typing import Any

import litellm
from litellm import Router

from load import PROMPT, Call, run

litellm.telemetry = False

SETTINGS: dict[str, dict[str, Any]] = {
    # The default, which its documentation recommends.
    "shuffle": {"routing_strategy": "simple-shuffle"},
    # Looks at how much of its rpm each deployment has used.
    "usage": {"routing_strategy": "usage-based-routing-v2"},
    # The best of fifteen combinations that were tried (docs/benchmarks.md): no deployment rests, a call is tried six times.
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
