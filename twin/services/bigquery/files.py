"""Files in Cloud Storage that a load job or an external table reads."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from twin.kernel.errors import invalid, not_found
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.bigquery.types import duckdb_type


def source_files(call: Call, uris: list[str]) -> list[str]:
    """Paths of the objects that the caller may read and that the URIs name. ApiError NOT_FOUND for a URI without any."""
    files = []
    for uri in uris:
        match = re.fullmatch(r"gs://([^/]+)/(.+)", uri)
        if match is None:
            raise invalid(f"Source URI must be a Google Cloud Storage location: {uri}")
        found = [
            body
            for name, body in call.children(f"storage/b/{match[1]}/o")
            if fnmatchcase(body["name"], match[2])
            and call.engine.policies.allowed(call.context.principal, "storage.objects.get", name, call.now)
        ]
        if not found:
            raise not_found(f"Not found: URI {uri}")
        files += [str(call.engine.parts["blobs"].path(body["~blob"])) for body in found]
    if not files:
        raise invalid("Load configuration must specify at least one source URI")
    return files


def csv_options(settings: Body, fields: list[Body]) -> str:
    """DuckDB's options for reading CSV as BigQuery's settings say."""
    skip = int(settings.get("skipLeadingRows", 0))
    delimiter = {"tab": "\\t", "": ","}.get(settings.get("fieldDelimiter", ","), settings.get("fieldDelimiter", ","))
    options = [f"delim='{delimiter}'", f"nullstr='{settings.get('nullMarker', '')}'", "strict_mode=false"]
    if fields:
        columns = ", ".join(f"'{field['name']}': '{duckdb_type(field)}'" for field in fields)
        options += [f"columns={{{columns}}}", "auto_detect=false", f"skip={skip}", "header=false"]
        options += ["quote='\"'", "escape='\"'"]
    else:
        options += ["header=true"] if skip or settings.get("autodetect") else []
    return ", ".join(options)
