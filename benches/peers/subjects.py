"""Who is compared, what has to be installed or built for it, and how it is started."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Environments for the peers, each with its own: what they depend on conflicts.
HOME = ROOT / ".bench-peers"
PYTHON = "python3.11"


class Unready(Exception):
    """Something that a run needs is missing; says what to do."""


@dataclass(frozen=True)
class Peer:
    """A subject in Python."""

    name: str
    package: str  # its requirements file and its program are named after it
    use: str  # the argument of the program

    def command(self) -> list[str]:
        return [str(installed(self.package)), str(HERE / f"use_{self.package}.py"), self.use]


PEERS = [
    Peer("litellm-shuffle", "litellm", "shuffle"),
    Peer("litellm-usage", "litellm", "usage"),
    Peer("litellm-patient", "litellm", "patient"),
    Peer("simplellmfunc-pool", "simplellmfunc", "pool"),
    Peer("simplellmfunc-each", "simplellmfunc", "each"),
]
OURS = "llmpool"
NAMES = [OURS] + [peer.name for peer in PEERS]


def commands(names: Sequence[str], ours: str) -> dict[str, list[str]]:
    """How to start each of them, with `ours` as the program of llmpool. Installs what is not there yet."""
    found = {OURS: [ours]} if OURS in names else {}
    return found | {peer.name: peer.command() for peer in PEERS if peer.name in names}


def build() -> tuple[str, str]:
    """Builds the simulator and llmpool's subject as they are released, and returns both programs."""
    say("building llmpool")
    command = "cargo build --release -p llmpool-cli --bin llmpool -p llmpool --bench peers"
    built = subprocess.run([*command.split(), "--message-format=json"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        raise Unready(f"{command} failed; cargo says why above")
    messages = map(json.loads, built.stdout.splitlines())
    made = {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}
    return made["llmpool"], made["peers"]


def installed(package: str) -> Path:
    """The Python of an environment that has exactly what the package's requirements file says."""
    home, wanted = HOME / package, HERE / f"requirements-{package}.txt"
    python, stamp = home / "bin" / "python", home / "installed"
    fingerprint = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == fingerprint:
        return python
    if shutil.which(PYTHON) is None:
        raise Unready(f"{package} needs {PYTHON}; install it, or leave the peers out with --only {OURS}")
    say(f"installing {package}")
    # SimpleLLMFunc says it needs a later Python, and runs with this one.
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--ignore-requires-python"]
    pip = [str(python), "-m", "pip", "install", *options, "-r", str(wanted)]
    for command in ([PYTHON, "-m", "venv", "--clear", str(home)], pip):
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            raise Unready(
                f"{package} could not be installed (why is above; without a network it cannot be);"
                f" leave the peers out with --only {OURS}"
            )
    stamp.write_text(fingerprint)
    return python


def say(note: str) -> None:
    print(f"bench-peers: {note}", file=sys.stderr, flush=True)
