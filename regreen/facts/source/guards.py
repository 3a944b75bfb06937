"""Where a statement stands: under a guard, a condition, in a loop. The bits of `Context.flags`."""

from __future__ import annotations

import ast
from typing import Final

from regreen.facts.source.context import dotted, last_name

TYPE_CHECKING_ONLY: Final = 1
IMPORT_GUARDED: Final = 2  # in the body of a try that handles ImportError, or of suppress(ImportError)
IMPORT_HANDLER: Final = 4  # in the handler or else-branch of such a try
CONDITIONAL: Final = 8  # under if, for, while, match, or in any other try
IN_TRY: Final = 16
IN_LOOP: Final = 32
VERSION_GUARDED: Final = 64  # under a test of sys.version_info, sys.platform or os.name
IN_HANDLER: Final = 128
IN_FINALLY: Final = 256
AS_PROGRAM: Final = 512  # under `if __name__ == "__main__"`: the file's own folder is on the path then

_IMPORT_ERRORS: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def handles_import_error(node: ast.Try | ast.TryStar) -> bool:
    """Whether a handler catches what a failing import raises."""
    for handler in node.handlers:
        kinds = handler.type
        if kinds is None:
            return True
        for kind in kinds.elts if isinstance(kinds, ast.Tuple) else (kinds,):
            if last_name(kind) in _IMPORT_ERRORS:
                return True
    return False


_ORDINARY: Final = frozenset({ast.Call, ast.BoolOp, ast.BinOp, ast.NamedExpr})


def condition_flags(test: ast.expr) -> tuple[int, int]:
    """Extra flags of the body and of the else-branch of an `if`."""
    if test.__class__ in _ORDINARY:
        return CONDITIONAL, CONDITIONAL
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    inner = test.operand if isinstance(test, ast.UnaryOp) and negated else test
    if last_name(inner) == "TYPE_CHECKING":
        return (CONDITIONAL, TYPE_CHECKING_ONLY) if negated else (TYPE_CHECKING_ONLY, CONDITIONAL)
    if isinstance(inner, ast.Constant) and inner.value is False and not negated:
        return TYPE_CHECKING_ONLY, 0
    if isinstance(inner, ast.Compare):
        if isinstance(inner.left, ast.Name) and inner.left.id == "__name__":
            return (CONDITIONAL, CONDITIONAL) if negated else (CONDITIONAL | AS_PROGRAM, CONDITIONAL)
        text = dotted(inner.left.value) if isinstance(inner.left, ast.Subscript) else dotted(inner.left)
        if text in (
            "sys.version_info",
            "sys.platform",
            "os.name",
            "version_info",
            "six.PY2",
            "sys.implementation.name",
        ):
            return CONDITIONAL | VERSION_GUARDED, CONDITIONAL | VERSION_GUARDED
    if dotted(inner) in ("six.PY2", "six.PY3", "PY2", "PY3"):
        return CONDITIONAL | VERSION_GUARDED, CONDITIONAL | VERSION_GUARDED
    return CONDITIONAL, CONDITIONAL


def suppresses_import_error(node: ast.With | ast.AsyncWith) -> bool:
    """Whether a failing import in the block goes no further."""
    for item in node.items:
        call = item.context_expr
        if (
            isinstance(call, ast.Call)
            and last_name(call.func) in ("suppress", "raises", "try_import", "check_imports")
            and (
                last_name(call.func) in ("try_import", "check_imports")
                or any(last_name(a) in _IMPORT_ERRORS for a in call.args)
            )
        ):
            return True
    return False
