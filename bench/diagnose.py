"""One diagnosis by all code checks, with a cache folder that may be empty (cold) or not (warm)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from checks.code import CATALOGUE
from regreen.facts.source import FolderTree, survey
from regreen.policy import Policy


def main(root: str, cache: str) -> None:
    """Print how much was looked at."""
    tree = FolderTree(Path(root))
    diagnosis = survey(tree, CATALOGUE, Policy.of(tree), Path(cache)).diagnosis
    print(
        json.dumps(
            {
                "files": diagnosis.files,
                "parsed": diagnosis.parsed,
                "tests": diagnosis.functions,
                "checks": len(diagnosis.verdicts),
                "findings": sum(len(verdict.findings) for verdict in diagnosis.verdicts),
                "errors": [verdict.check for verdict in diagnosis.verdicts if verdict.error],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
