"""Errors with the codes that Neo4j gives: https://neo4j.com/docs/status-codes/current/errors/all-errors/"""

from __future__ import annotations

from typing import Final

SYNTAX: Final = "Neo.ClientError.Statement.SyntaxError"
TYPE: Final = "Neo.ClientError.Statement.TypeError"
ARGUMENT: Final = "Neo.ClientError.Statement.ArgumentError"
ARITHMETIC: Final = "Neo.ClientError.Statement.ArithmeticError"
PARAMETER: Final = "Neo.ClientError.Statement.ParameterMissing"
NOT_FOUND: Final = "Neo.ClientError.Statement.EntityNotFound"
CONSTRAINT: Final = "Neo.ClientError.Schema.ConstraintValidationFailed"
CONSTRAINT_EXISTS: Final = "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"
CONSTRAINT_MISSING: Final = "Neo.DatabaseError.Schema.ConstraintDropFailed"
PROCEDURE: Final = "Neo.ClientError.Procedure.ProcedureNotFound"
UNAUTHORIZED: Final = "Neo.ClientError.Security.Unauthorized"
REQUEST: Final = "Neo.ClientError.Request.Invalid"
DATABASE: Final = "Neo.ClientError.Database.DatabaseNotFound"
READ_ONLY: Final = "Neo.ClientError.Statement.AccessMode"
LOCKED: Final = "Neo.TransientError.Transaction.LockAcquisitionTimeout"


class CypherError(Exception):
    """What a query is refused with."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def unsupported(what: str) -> CypherError:
    """Something that Neo4j may know and this engine does not."""
    return CypherError(SYNTAX, f"not supported by the local graph: {what}")
