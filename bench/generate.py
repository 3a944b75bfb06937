"""A tree of Python files for benchmarks: the same for the same numbers, of about the density of real code."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

_WORDS: Final = [
    "order",
    "trade",
    "price",
    "ledger",
    "quote",
    "venue",
    "batch",
    "cursor",
    "window",
    "bucket",
    "token",
    "vote",
    "agent",
    "signal",
    "route",
]


def _name(rng: random.Random) -> str:
    return f"{rng.choice(_WORDS)}_{rng.choice(_WORDS)}_{rng.randrange(1000)}"


def _function(rng: random.Random) -> str:
    name, left, right = _name(rng), _name(rng), _name(rng)
    kind = "async def" if rng.random() < 0.2 else "def"
    return f'''
{kind} {name}({left}, {right}=None, *, limit={rng.randrange(100)}):
    """Combine {left} with {right}, up to a limit."""
    result = []
    for index, item in enumerate({left} or ()):
        if index >= limit or item in ({rng.randrange(9)}, "{_name(rng)}"):
            continue
        try:
            value = item.get("{_name(rng)}", {rng.randrange(100)}) if isinstance(item, dict) else item
            result.append({{"index": index, "value": value * {rng.randrange(2, 9)} + len(result)}})
        except (KeyError, ValueError) as error:
            raise RuntimeError(f"{{index}}: {{error}}") from error
    return {{"{left}": result, "count": len(result), "other": {right}}}
'''


def _module(rng: random.Random, package: str, names: list[str]) -> str:
    imports = "".join(
        f"from {package}.{other} import {other}_main\n" for other in rng.sample(names, min(3, len(names)))
    )
    functions = "".join(_function(rng) for _ in range(rng.randrange(6, 28)))
    return f'"""A generated module."""\n\nimport json\nimport os\n{imports}\n{functions}\n'


def _tests(rng: random.Random, package: str, module: str) -> str:
    body = [f"import pytest\n\nfrom {package}.{module} import {module}_main\n"]
    for number in range(rng.randrange(4, 20)):
        mark = f"@pytest.mark.{rng.choice(['slow', 'unit', 'integration'])}\n" if rng.random() < 0.3 else ""
        last = rng.choice(
            ["assert result is not None", f'assert result["count"] == {number}', "return result is not None"]
        )
        body.append(
            f"\n{mark}def test_{module}_{number}():\n    result = {module}_main([{number}], limit={number})\n    {last}\n"
        )
    return "".join(body)


def generate(root: Path, files: int, seed: int = 1) -> None:
    """Write `files` Python files below `root`: packages of forty modules, and a test module for every third."""
    rng = random.Random(seed)  # noqa: S311 - a benchmark's input, not a secret
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(
        '[project]\nname = "generated"\nversion = "0"\n\n'
        '[tool.pytest.ini_options]\nmarkers = ["slow: takes long", "unit: quick"]\n'
    )
    written = 0
    package_number = 0
    while written < files:
        package = f"package_{package_number}"
        package_number += 1
        names = [f"{rng.choice(_WORDS)}_{number}" for number in range(40)]
        folder = root / package
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text("")
        (root / "tests" / package).mkdir(parents=True, exist_ok=True)
        written += 1
        for position, name in enumerate(names):
            if written >= files:
                return
            (folder / f"{name}.py").write_text(
                _module(rng, package, names[:position]) + f"\n{name}_main = {name!r}.__class__\n"
            )
            written += 1
            if position % 3 == 0 and written < files:
                (root / "tests" / package / f"test_{package}_{name}.py").write_text(_tests(rng, package, name))
                written += 1
