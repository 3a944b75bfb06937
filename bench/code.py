"""How long a diagnosis takes, next to the floor and to the tools that people combine for less.

Everything is a whole process, measured from outside: wall time, CPU of it and its children, and the highest
resident memory of any one process. Cold diagnosis and floor alternate, so that a machine whose speed drifts
slows both; the ratio is the median of the pairs.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.generate import generate


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one command: seconds of wall and CPU time, megabytes of the largest process, exit code."""

    wall: float
    cpu: float
    memory: float
    code: int


def measure(command: Sequence[str], output: Path | None = None) -> Sample:
    """Run a command once. Its output goes to a file or nowhere."""
    with open(output or os.devnull, "wb") as sink:  # noqa: PTH123 - devnull is not a Path
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1024 * 1024 if sys.platform == "darwin" else 1024
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale, process.returncode)


def _tools(target: str, scratch: Path) -> dict[str, list[str]]:
    python = sys.executable
    tools = {
        "python -m compileall": [python, "-m", "compileall", "-q", "-f", "-j", "0", "--invalidation-mode", "unchecked-hash", target],
        "ruff check (E9, F, PT, ASYNC, S105-S107)": [
            python, "-m", "ruff", "check", "--no-cache", "--isolated", "--select", "E9,F,PT,ASYNC,S105,S106,S107", "--exit-zero", target,
        ],
    }  # fmt: skip
    packages = sorted(path.parent.name for path in Path(target).glob("*/__init__.py"))
    if packages:
        script = scratch / "grimp_graph.py"
        script.write_text(
            "import sys, grimp\nsys.path.insert(0, sys.argv[1])\n"
            "graph = grimp.build_graph(*sys.argv[2:], cache_dir=None)\nprint(len(graph.modules))\n"
        )
        tools[f"grimp ({len(packages)} top-level packages, import graph only)"] = [
            python,
            str(script),
            target,
            *packages,
        ]
    return {name: command for name, command in tools.items() if shutil.which(command[0])}


def bench(target: Path | None, files: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, say each figure as it comes, and return them all."""
    with tempfile.TemporaryDirectory(prefix="regreen-bench-") as folder:
        scratch = Path(folder)
        if target is None:
            target = scratch / "tree"
            say(f"generating {files:,} files")
            generate(target, files)
        root = str(target.resolve())
        diagnose = [sys.executable, "-m", "bench.diagnose", root]
        floor = [sys.executable, "-m", "bench.floor", root]
        measure(floor)  # the first read of the files from disk counts for nobody
        pairs: list[tuple[Sample, Sample]] = []
        output = scratch / "diagnosis.json"
        for number in range(rounds):
            cache = scratch / f"cache-{number}"
            cold = measure([*diagnose, str(cache)], output)
            base = measure(floor)
            pairs.append((cold, base))
            say(
                f"cold {cold.wall:6.2f} s wall {cold.cpu:6.2f} s CPU {cold.memory:5.0f} MB | ast.parse {base.wall:6.2f} s wall {base.cpu:6.2f} s CPU"
            )
        time.sleep(0.1)  # so that the youngest file is older than the racy window
        warm = [measure([*diagnose, str(cache)]) for _ in range(rounds)]
        wall = statistics.median(cold.wall / base.wall for cold, base in pairs)
        cpu = statistics.median(cold.cpu / base.cpu for cold, base in pairs)
        floor_wall = statistics.median(base.wall for _, base in pairs)
        warm_wall = statistics.median(sample.wall for sample in warm)
        figures: dict[str, Any] = {
            "target": root,
            **json.loads(output.read_text()),
            "cold": asdict(pairs[-1][0]),
            "floor": asdict(pairs[-1][1]),
            "cold / floor, wall": round(wall, 3),
            "cold / floor, CPU": round(cpu, 3),
            "warm / floor, wall": round(warm_wall / floor_wall, 3),
            "warm seconds": round(warm_wall, 3),
            "largest process, MB": round(max(cold.memory for cold, _ in pairs)),
        }
        say(f"cold / floor: {wall:.2f} wall, {cpu:.2f} CPU (median of {rounds} alternations)")
        say(f"warm / floor: {warm_wall / floor_wall:.3f} wall ({warm_wall:.2f} s)")
        say(f"largest process of a cold diagnosis: {figures['largest process, MB']} MB")
        others = {}
        copied = scratch / "compiled"
        shutil.copytree(
            root, copied, symlinks=True, ignore=shutil.ignore_patterns(".git"), ignore_dangling_symlinks=True
        )
        for name, command in _tools(str(copied), scratch).items():
            sample = measure(command)
            others[name] = asdict(sample)
            say(
                f"{name}: {sample.wall:.2f} s wall, {sample.cpu:.2f} s CPU, {sample.wall / floor_wall:.2f} × floor (exit {sample.code})"
            )
        figures["others"] = others
        return figures


def main(target: Path | None, files: int, rounds: int, output: str) -> int:
    """Print the figures; write them as JSON where asked."""
    figures = bench(target, files, rounds, lambda text: print(text, flush=True))
    if output:
        Path(output).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0
