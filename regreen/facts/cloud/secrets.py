"""Secrets as a snapshot shows them: which version to refer to, and where a value stands in plain text. Never a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regreen.facts.cloud.reading import containers, field, last, variables

if TYPE_CHECKING:
    from regreen.environment import Environment
    from regreen.facts.cloud.snapshot import Snapshot


def newest_version(snapshot: Snapshot, secret: str) -> str:
    """The number of a secret's newest enabled version; empty where there is none. `latest` would change under a service."""
    body = dict(snapshot.of("secretmanager.versions")).get(secret)
    numbers = [
        int(last(item["name"])) for item in field(body, "versions", default=()) if item.get("state") == "ENABLED"
    ]
    return str(max(numbers)) if numbers else ""


def secret_for(environment: Environment, variable: str) -> str:
    """The secret that the environment file names for a variable, in any service; else one whose name is the variable's end."""
    for service in environment.services:
        if variable in dict(service.secrets):
            return dict(service.secrets)[variable]
    tail = variable.lower().replace("_", "-")
    return next((item.name for item in environment.secrets if tail == item.name or tail.endswith("-" + item.name)), "")


def plain_source(snapshot: Snapshot, environment: Environment, secret: str) -> tuple[str, str] | None:
    """A service and the variable of it that holds a secret's value in plain text; None where there is none."""
    for name, body in snapshot.of("run.services"):
        for container in containers(body):
            for variable, value in variables(container).items():
                if value and secret_for(environment, variable) == secret:
                    return name, variable
    return None


def member_of(account: str, environment: Environment) -> str:
    """An IAM member for an account that the environment file may name in short."""
    if ":" in account:
        return account
    full = account if "@" in account else f"{account}@{environment.project.id}.iam.gserviceaccount.com"
    return f"serviceAccount:{full}"
