"""The peers' environment, the networks, and the provenance of a result."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parent
CACHE, MODELS, RESULTS = HERE / ".cache", ROOT / "models", HERE / "results"
NETWORKS = (
    "galaxy", "mini-xception", "vgg16", "mobilenetv2", "resnet50", "inceptionv3",
    "efficientnetb0", "xception",
)  # fmt: skip
REQUIREMENTS = (
    "tensorflow==2.21.0", "keras==3.15.0", "jax==0.10.2", "torch==2.13.0", "h5py",
    "tf-keras-vis==0.8.7",
)  # fmt: skip
#: A package that requires old test tools, so its installation may fail alone.
OPTIONAL = ("torch-lucent==0.1.8", "torch==2.13.0", "torchvision==0.28.0")

#: Paths that a result depends on, from this folder.
_CODE = ("../jaxviz", "../converters", "*.py", "peers")


def threads() -> int:
    """Cores that this process may use; every peer is given the same number of threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peers_python(given: Path | None = None) -> Path:
    """The interpreter of the peers' environment, which is installed on first use."""
    python = given or HERE / ".venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", HERE / ".venv"], check=True)
        install = [str(python), "-m", "pip", "install", "-q"]
        subprocess.run([*install, *REQUIREMENTS], check=True)
        if subprocess.run([*install, *OPTIONAL]).returncode:
            print("cannot install torch-lucent: the peer is left out", file=sys.stderr)
    return python


def peer_environment(**more: str) -> dict[str, str]:
    """The variables of a peer's process: `benchmarks` is importable, no GPU is visible.

    Args:
        more: Further variables.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return {**os.environ, "PYTHONPATH": path, **quiet, **more}


def build_networks(python: Path, names: Iterable[str] = NETWORKS) -> None:
    """Save some networks as `.keras` files and as plain data for PyTorch; those there are kept."""
    from jaxviz.bundle.load import load_bundle

    CACHE.mkdir(exist_ok=True)
    names = tuple(names)
    if not all((CACHE / f"{name}.keras").exists() for name in names):
        if not (MODELS / "mobilenetv2.model").exists():
            subprocess.run([sys.executable, ROOT / "scripts" / "fetch_models"], check=True)
        weights = load_bundle(MODELS / "mobilenetv2.model").weights
        with tempfile.TemporaryDirectory() as folder:
            converted, models = Path(folder) / "mobilenet.npz", Path(folder)
            save_weights(converted, weights)
            (models / "fer.h5").write_bytes((MODELS / "fer.hdf5").read_bytes())
            given = map(str, (CACHE, models, converted, *names))
            command = [str(python), "-m", "benchmarks.peers.networks", *given]
            subprocess.run(command, check=True, env=peer_environment())
    for name in names:
        if not (CACHE / f"{name}.json").exists():
            export(CACHE / f"{name}.keras", CACHE)


def export(model: Path, folder: Path) -> None:
    """Save a network as JSON and arrays, which need neither Keras nor jaxviz to read."""
    from jaxviz.bundle.load import load_bundle

    bundle = load_bundle(model)
    save_weights(folder / f"{model.stem}.npz", bundle.weights)
    (folder / f"{model.stem}.json").write_text(bundle.spec.model_dump_json())


def save_weights(path: Path, weights: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Save weights as an .npz of arrays called "LAYER|NAME"."""
    named = {f"{layer}|{n}": a for layer, some in weights.items() for n, a in some.items()}
    np.savez(path, **named)  # type: ignore[arg-type]


def provenance(peers: Path | None = None) -> dict[str, Any]:
    """Machine, versions, threads, commit and load, for the head of a result."""
    machine = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        machine = next((x.split(":")[1].strip() for x in lines if "model name" in x), machine)
    found: dict[str, Any] = {
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)),
        "machine": machine,
        "threads": threads(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpy")},
        "dtype": "float32",
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    if peers is not None:
        names = [requirement.split("==")[0] for requirement in (*REQUIREMENTS, *OPTIONAL)]
        ask = (
            "import json; from importlib.metadata import distributions\n"
            "print(json.dumps({d.name.lower(): d.version for d in distributions()}))"
        )
        printed = subprocess.run([peers, "-c", ask], capture_output=True, text=True, check=True)
        installed = json.loads(printed.stdout)
        found["peers"] = {name: installed[name] for name in names if name in installed}
    return found


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True)
    return run.stdout.strip()
