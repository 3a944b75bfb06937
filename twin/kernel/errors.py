"""Google's error envelope.

Two dialects exist. Most APIs answer `code, message, status, details` (https://cloud.google.com/apis/design/errors).
The older ones (compute, bigquery, storage, sqladmin, iam) add `errors[]` with a domain and a reason
(https://cloud.google.com/storage/docs/json_api/v1/status-codes), some of them without `status`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from twin.kernel.types import Body

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto, with each code's HTTP status.
HTTP_OF = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "CONDITION_NOT_MET": 412,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
REASON_OF = {
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    409: "duplicate",
    412: "conditionNotMet",
    413: "uploadTooLarge",
    429: "rateLimitExceeded",
    500: "backendError",
    501: "notImplemented",
    503: "backendError",
}


@dataclass
class ApiError(Exception):
    """A refusal, as Google words it. `status` is a canonical code's name; `reason` is the older dialect's word."""

    status: str
    message: str
    reason: str = ""
    details: tuple[Body, ...] = ()
    http: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    entry: Body = field(default_factory=dict)
    """What the older dialect's `errors[0]` says otherwise than its usual words; a None takes a word out."""
    parsed: bool = False
    """Refused before any API saw it (the front end's parser): every dialect then has `status` and no `domain`."""

    def __post_init__(self) -> None:
        if not self.http:
            self.http = HTTP_OF[self.status]
        super().__init__(self.message)

    @property
    def word(self) -> str:
        return self.reason or REASON_OF.get(self.http, "backendError")


def envelope(error: ApiError, dialect: str) -> Body:
    """The JSON that `dialect` (`rpc`, `legacy`, `legacy+status`) puts around a refusal."""
    inner: Body = {"code": error.http, "message": error.message}
    if dialect != "rpc":
        inner["errors"] = [{"message": error.message, "domain": "global", "reason": error.word}]
        if error.http == 412:
            # https://cloud.google.com/storage/docs/json_api/v1/status-codes#412_Precondition_Failed
            inner["errors"][0].update({"locationType": "header", "location": "If-Match"})
        if error.parsed:
            del inner["errors"][0]["domain"]
        inner["errors"][0].update(error.entry)
    if dialect != "legacy" or error.parsed:
        inner["status"] = "FAILED_PRECONDITION" if error.status == "CONDITION_NOT_MET" else error.status
    if error.details:
        inner["details"] = list(error.details)
    return {"error": inner}


def bad_request(*violations: tuple[str, str]) -> ApiError:
    """A 400 that lists (field, description) pairs as google.rpc.BadRequest does."""
    message = "\n".join(text for _, text in violations)
    fields = [{"field": name, "description": text} if name else {"description": text} for name, text in violations]
    return ApiError(
        "INVALID_ARGUMENT",
        message,
        details=({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": fields},),
        parsed=True,
    )


def error_info(reason: str, domain: str, **metadata: str) -> Body:
    """A machine's view of a refusal. https://cloud.google.com/apis/design/errors#error_info"""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    }


def invalid(message: str, reason: str = "invalid") -> ApiError:
    return ApiError("INVALID_ARGUMENT", message, reason=reason)


def failed_precondition(message: str, reason: str = "failedPrecondition") -> ApiError:
    return ApiError("FAILED_PRECONDITION", message, reason=reason)


def not_found(message: str) -> ApiError:
    return ApiError("NOT_FOUND", message, reason="notFound")


def already_exists(message: str) -> ApiError:
    return ApiError("ALREADY_EXISTS", message, reason="alreadyExists")


def unimplemented(what: str) -> ApiError:
    """The twin does not know this method. Loud on purpose: a silent 200 would be a lie."""
    return ApiError("UNIMPLEMENTED", f"The twin does not implement {what}. See docs/twin.md, 'What is not there'.")
