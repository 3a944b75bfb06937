"""How service accounts are named: by mail, by unique id, with a dash for their project."""

from __future__ import annotations

from twin.kernel.names import segment_after
from twin.kernel.semantics import Call


def by_email(call: Call) -> str:
    """The canonical name; `projects/-/serviceAccounts/EMAIL` and the unique id are accepted for it."""
    identifier = segment_after(call.name, "serviceAccounts").partition(":")[0]
    rest = call.name.partition(f"/serviceAccounts/{segment_after(call.name, 'serviceAccounts')}")[2]
    project = segment_after(call.name, "projects")
    if identifier.isdigit():
        for collection in call.engine.store.collections("iam/projects/", "serviceAccounts"):
            for name, body in call.children(collection):
                if body.get("uniqueId") == identifier:
                    return name + rest
    if project == "-":
        project = identifier.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
    return f"iam/projects/{project}/serviceAccounts/{identifier}{rest}"
