"""What every task shares: how it ends, and which target it works on."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from invoke.context import Context
from invoke.exceptions import Exit

from regreen import commands
from regreen.policy import PolicyError
from regreen.tomlsource import SourceError

HERE: Final = Path(__file__).resolve().parents[1]


def end(run: Callable[[], int]) -> None:
    """Run a command and leave with its exit code; errors that people can mend are one line, not a traceback."""
    try:
        code = run()
    except (commands.UsageError, PolicyError, SourceError, *commands.MENDABLE) as error:
        raise Exit(f"error: {error}", code=commands.USAGE) from None
    except KeyboardInterrupt:
        raise Exit("interrupted", code=130) from None
    except BrokenPipeError:
        raise Exit(code=commands.OK) from None
    except Exception as error:  # noqa: BLE001 - the last resort: a bug must say that it is one
        # These are imported only by the tasks that need them.
        if type(error).__name__ in ("TwinError", "ExecutorError", "EngineError", "CloudError"):
            raise Exit(f"error: {error}", code=commands.USAGE) from None
        traceback.print_exc()
        raise Exit("this is a bug in Regreen; please report it with the text above", code=commands.BUG) from None
    if code:
        sys.stdout.flush()
        raise Exit(code=code)


def place(c: Context, target: str, fresh: bool = False) -> tuple[Path, bool]:
    """The target, and whether it is the bundled patient's scratch copy."""
    named = target or c.config.get("regreen", {}).get("target", "")
    if named:
        return commands.folder(named), False
    return commands.scratch(HERE / "patient", fresh), True
