"""What a new project holds before anybody has done anything."""

# ruff: noqa: ARG001 - the signature is the kernel's

from __future__ import annotations

from dataclasses import replace

from twin.kernel.documents import load
from twin.kernel.engine import Engine
from twin.kernel.names import numeric_id
from twin.kernel.policies import PREFIX, ROOT
from twin.kernel.seed import binding
from twin.kernel.semantics import Call
from twin.kernel.types import Body, Context, rfc3339
from twin.services.accounts import account
from twin.services.projects import record
from twin.services.usage import AGENTS, ENABLED, agent_of

RUNNER = "twin-client"
"""The service account whose key `invoke twin.env` hands to clients."""


def project(engine: Engine, context: Context, project_id: str, number: str) -> None:
    """The project's record and policy, its default accounts, its agents."""
    store = engine.store
    name = f"cloudresourcemanager/projects/{project_id}"
    store.put(name, record(project_id, number, rfc3339(context.now, 3)))
    store.put(f"project-number/{number}", {"id": project_id})
    client = account(project_id, RUNNER, numeric_id(21), "Client of the twin")
    store.put("iam/" + client["name"], client)
    default = account(project_id, "unused", numeric_id(21), "Compute Engine default service account")
    email = f"{number}-compute@developer.gserviceaccount.com"
    default.update(email=email, name=f"projects/{project_id}/serviceAccounts/{email}")
    store.put("iam/" + default["name"], default)
    for service in AGENTS:
        # BigQuery's encryption agent is the exception: it appears when a client asks for it.
        if service != "bigquery.googleapis.com":
            store.put(f"service-agent/{agent_of(service, number)}", {"service": service})
    store.put(f"service-agent/{email}", {"service": "compute.googleapis.com"})
    for label in ENABLED:
        store.put(f"serviceusage/projects/{project_id}/services/{label}.googleapis.com", {"state": "ENABLED"})
    owner = f"user:{engine.settings.owner}"
    root = [binding("roles/owner", owner, f"serviceAccount:{client['email']}")]
    store.put(PREFIX + ROOT, {"versions": [{"from": rfc3339(context.now), "policy": {"bindings": root}}]})


def network(engine: Engine, context: Context, project_id: str, number: str) -> None:
    """The `default` network with a subnetwork in every region, made through compute's own door."""
    method = load("compute", "v1").methods["compute.networks.insert"]
    name = f"compute/projects/{project_id}/global/networks"
    body = {"name": "default", "description": "Default network for the project", "autoCreateSubnetworks": True}
    call = Call(engine, replace(context, internal=True), method, {}, body, name)
    engine.perform(call)
    for operation in [
        entry for entry in engine.store.below(f"compute/projects/{project_id}") if "/operations/" in entry
    ]:
        engine.store.delete(operation)


def log_buckets(engine: Engine, context: Context, project_id: str, number: str) -> None:
    """Every project has two log buckets and their sinks (https://cloud.google.com/logging/docs/store-log-entries)."""
    stamp = rfc3339(context.now)
    for short, days, locked in (("_Default", 30, False), ("_Required", 400, True)):
        bucket = f"projects/{project_id}/locations/global/buckets/{short}"
        body: Body = {
            "name": bucket,
            "retentionDays": days,
            "lifecycleState": "ACTIVE",
            "createTime": stamp,
            "updateTime": stamp,
        }
        if locked:
            body["locked"] = True
        engine.store.put(f"logging/{bucket}", {**body, "description": f"{short.strip('_')} bucket"})
        destination = f"logging.googleapis.com/{bucket}"
        engine.store.put(
            f"logging/projects/{project_id}/sinks/{short}",
            {"name": short, "destination": destination, "resourceName": f"projects/{project_id}"},
        )
