"""Routines (user functions and procedures), models, row access policies.

https://cloud.google.com/bigquery/docs/reference/rest/v2/routines. SQL functions are expanded where a query calls them;
JavaScript ones are kept and refused when called.
"""

from __future__ import annotations

import re

from twin.kernel.errors import invalid
from twin.kernel.names import collection_of, last
from twin.kernel.semantics import Call
from twin.kernel.types import Body
from twin.services.bigquery.metadata import millis


def create_routine(call: Call, body: Body) -> None:
    identifier = last(call.name)
    if not re.fullmatch(r"\w{1,256}", identifier):
        raise invalid(f'Invalid routine ID "{identifier}".')
    if not body.get("routineType"):
        raise invalid("Required parameter is missing: routineType", "required")
    project, dataset = call.name.split("/")[2], call.name.split("/")[4]
    body["routineReference"] = {"projectId": project, "datasetId": dataset, "routineId": identifier}
    body.setdefault("language", "SQL")
    body["creationTime"] = body["lastModifiedTime"] = millis(call)
    if body.get("determinismLevel") == "DETERMINISM_LEVEL_UNSPECIFIED":
        del body["determinismLevel"]


def update_routine(call: Call, old: Body, new: Body) -> None:
    for field in ("creationTime", "routineReference", "routineType", "language"):
        if field in old:
            new[field] = old[field] if field != "language" else new.get(field, old[field])
    new["lastModifiedTime"] = millis(call)
    if new.get("determinismLevel") == "DETERMINISM_LEVEL_UNSPECIFIED":
        del new["determinismLevel"]


def list_routines(call: Call) -> Body:
    """Lists hold the reference and the kind, not the body, unless a readMask asks for it."""
    from twin.kernel import standard

    found = standard.list_(call)
    keep = ("routineReference", "routineType", "language", "creationTime", "lastModifiedTime", "etag")
    if not call.params.get("readMask"):
        found["routines"] = [{key: body[key] for key in keep if key in body} for body in found.get("routines", [])]
    if not found.get("routines"):
        found.pop("routines", None)
    return found


def create_policy(call: Call, body: Body) -> None:
    """Row access policies are kept with their grantees; the twin filters nothing by them."""
    table = call.need(collection_of(collection_of(call.name)))
    reference = body.get("rowAccessPolicyReference", {})
    body["rowAccessPolicyReference"] = {
        **table["tableReference"],
        "policyId": reference.get("policyId", last(call.name)),
    }
    if not body.get("filterPredicate"):
        raise invalid("Required parameter is missing: filterPredicate", "required")
    body["creationTime"] = body["lastModifiedTime"] = call.stamp
