"""The subjects of the comparison: how each is installed or built, and how it is started."""

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
# The virtual environments of the peers. Each has its own, because their dependencies conflict.
HOME = ROOT / ".bench-peers"
PYTHON = "python3.11"


class NotInstalled(Exception):
    """A requirement of a run is missing. The message says what to do."""


@dataclass(frozen=True)
class Peer:
    """A subject in Python."""

    name: str
    package: str  # names its requirements file and its program
    settings: str  # the argument of the program

    def command(self) -> list[str]:
        return [str(install(self.package)), str(HERE / f"use_{self.package}.py"), self.settings]


PEERS = [
    Peer("litellm-shuffle", "litellm", "shuffle"),
    Peer("litellm-usage", "litellm", "usage"),
    Peer("litellm-patient", "litellm", "patient"),
    Peer("simplellmfunc-pool", "simplellmfunc", "pool"),
    Peer("simplellmfunc-each", "simplellmfunc", "each"),
]
OURS = {"llmpool": "bucket", "llmpool-rpm": "rpm"}  # the arguments of its program
NAMES = [*OURS] + [peer.name for peer in PEERS]


def commands(names: Sequence[str], ours: str) -> dict[str, list[str]]:
    """Returns the command of each subject, with `ours` as the program of llmpool. Installs missing peers."""
    found = {name: [ours, settings] for name, settings in OURS.items() if name in names}
    return found | {peer.name: peer.command() for peer in PEERS if peer.name in names}


def build() -> tuple[str, str]:
    """Builds the simulator and the subject of llmpool in release mode, and returns the paths of both programs."""
    log("building llmpool")
    command = "cargo build --release -p llmpool-cli --bin llmpool -p llmpool --bench peers"
    built = subprocess.run([*command.split(), "--message-format=json"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        raise NotInstalled(f"{command} failed; see the output of cargo above")
    messages = map(json.loads, built.stdout.splitlines())
    made = {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}
    return made["llmpool"], made["peers"]


def install(package: str) -> Path:
    """Installs a peer as pinned in its requirements file, unless it is installed, and returns the Python of its environment."""
    home, requirements = HOME / package, HERE / f"requirements-{package}.txt"
    python, stamp = home / "bin" / "python", home / "installed"
    fingerprint = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == fingerprint:
        return python
    if shutil.which(PYTHON) is None:
        raise NotInstalled(f"{package} needs {PYTHON}; install it, or skip the peers with --only {' '.join(OURS)}")
    log(f"installing {package}")
    # SimpleLLMFunc declares a later Python version, but works with this one.
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--ignore-requires-python"]
    pip = [str(python), "-m", "pip", "install", *options, "-r", str(requirements)]
    for command in ([PYTHON, "-m", "venv", "--clear", str(home)], pip):
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            raise NotInstalled(
                f"{package} could not be installed (see the output of pip above; this needs network access);"
                f" skip the peers with --only {' '.join(OURS)}"
            )
    stamp.write_text(fingerprint)
    return python


def log(note: str) -> None:
    print(f"bench-peers: {note}", file=sys.stderr, flush=True)
