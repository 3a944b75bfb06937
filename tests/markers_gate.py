"""The markers gate's own proof: collects the suite, then plants an unknown marker and must see it refused.

`addopts = --strict-markers` is silently ignored by pytest 9.0.2 and 9.0.3 (pytest issue 14442), so a configuration
that looks strict proves nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLANTED = "import pytest\n\n\n@pytest.mark.regreen_planted_marker\ndef test_planted() -> None:\n    assert 1 + 1 == 2\n"


def collect(*paths: str) -> subprocess.CompletedProcess[str]:
    """Collect with the pytest that is on the path, randomisation and plugins as configured."""
    command = (sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *paths)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def main() -> int:
    """0 if the suite collects and the planted marker is refused; else 1, with what pytest said."""
    clean = collect()
    if clean.returncode != 0:
        print(clean.stdout, clean.stderr, sep="\n")
        print(f"pytest {pytest.__version__}: the suite does not collect", file=sys.stderr)
        return 1
    planted = ROOT / "tests" / "unit" / "test_regreen_planted_marker.py"
    planted.write_text(PLANTED)
    try:
        refused = collect(str(planted))
    finally:
        planted.unlink()
    if refused.returncode == 0 or "regreen_planted_marker" not in refused.stdout:
        print(refused.stdout, refused.stderr, sep="\n")
        print(f"pytest {pytest.__version__}: an unregistered marker was accepted", file=sys.stderr)
        return 1
    print(f"pytest {pytest.__version__}: {clean.stdout.strip().splitlines()[-1]}; a planted marker is refused")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
