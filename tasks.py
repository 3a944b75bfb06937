"""The command line: `invoke TASK` in this repository, `regreen TASK` anywhere. A table of contents, no logic.

With no `--target`, `invoke` works on a scratch copy of the bundled patient, and `regreen` on the current folder.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.program import Program
from invoke.tasks import task

import regreen
from checks.code import CATALOGUE as CODE_CHECKS
from regreen import commands
from regreen.policy import PolicyError
from regreen.tomlsource import SourceError

HERE = Path(__file__).resolve().parent


def _end(run: Callable[[], int]) -> None:
    """Run a command and leave with its exit code; errors that people can mend are one line, not a traceback."""
    try:
        code = run()
    except (commands.UsageError, PolicyError, SourceError) as error:
        raise Exit(f"error: {error}", code=commands.USAGE) from None
    except KeyboardInterrupt:
        raise Exit("interrupted", code=130) from None
    except BrokenPipeError:
        raise Exit(code=commands.OK) from None
    except Exception:  # noqa: BLE001 - the last resort: a bug must say that it is one
        traceback.print_exc()
        raise Exit("this is a bug in Regreen; please report it with the text above", code=commands.BUG) from None
    if code:
        sys.stdout.flush()
        raise Exit(code=code)


@task(
    help={
        "target": "a folder or repository; with invoke the bundled patient by default, with regreen the current folder",
        "only": "comma-separated check ids",
        "format": "table, json or sarif",
        "baseline": "set every present finding aside for this reason, in regreen-baseline.json",
    }
)
def diagnose(c: Context, target: str = "", only: str = "", format: str = "table", baseline: str = "") -> None:  # noqa: A002
    """Run the checks on a target; change nothing."""
    default = c.config.get("regreen", {}).get("target") or str(HERE / "patient")
    _end(
        lambda: commands.diagnose(
            commands.folder(target or default), commands.selected(CODE_CHECKS, only), format, baseline=baseline
        )
    )


namespace = Collection(diagnose)


def main() -> None:
    """The `regreen` console command: the same tasks, for the current folder."""
    anywhere = Collection.from_module(sys.modules[__name__], config={"regreen": {"target": "."}})
    Program(name="regreen", binary="regreen", namespace=anywhere, version=regreen.__version__).run()


if __name__ == "__main__":
    main()
