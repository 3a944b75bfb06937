"""Values of secrets: read, and added as versions. No value is ever in an error, a log or a name."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from infra.errors import StepError
from regreen.facts.cloud.google import CloudError
from regreen.facts.cloud.reading import last

if TYPE_CHECKING:
    from regreen.facts.cloud.google import Google


def newest(google: Google, secret: str) -> str:
    """The newest enabled version of a secret (`projects/P/secrets/S`); StepError where there is none."""
    versions = google.pages(
        "secretmanager", "v1", "projects.secrets.versions.list", "versions", parent=secret, filter="state:ENABLED"
    )
    names = [item["name"] for item in versions if item.get("state") == "ENABLED"]
    if not names:
        raise StepError(f"secret {last(secret)} has no enabled version: add one, then run again")
    return str(max(names, key=lambda name: int(last(name))))


def access(google: Google, version: str) -> str:
    """The value of a version."""
    answer = google.call("secretmanager", "v1", "projects.secrets.versions.access", name=version)
    return base64.b64decode(answer["payload"]["data"]).decode()


def add_version(google: Google, secret: str, value: str) -> str:
    """Add a value as the newest version, and read it back; the version's name. Raises StepError where it reads otherwise."""
    body = {"payload": {"data": base64.b64encode(value.encode()).decode()}}
    made = str(google.change("secretmanager", "v1", "projects.secrets.addVersion", parent=secret, body=body)["name"])
    if access(google, made) != value:
        raise StepError(f"secret {last(secret)}: version {last(made)} does not read back as it was written")
    return made


def ensure_secret(google: Google, project: str, name: str) -> str:
    """A secret that exists, made with automatic replication where it does not; its full name."""
    parent = f"projects/{project}"
    try:
        google.change(
            "secretmanager", "v1", "projects.secrets.create", parent=parent, secretId=name, body={"replication": {"automatic": {}}}
        )  # fmt: skip
    except CloudError as error:
        if error.status != 409:
            raise
    return f"{parent}/secrets/{name}"
