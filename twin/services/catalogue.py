"""Every service that has semantics of its own. Any other shipped document is served by the generic verbs alone."""

from __future__ import annotations

from pathlib import Path

from twin.kernel.engine import Engine
from twin.kernel.seed import Seeder
from twin.kernel.semantics import Rule, Semantics
from twin.services import (
    accounts,
    databases,
    dataflow,
    fresh,
    kms,
    logs,
    memorystore,
    observability,
    others,
    projects,
    secrets,
    storage,
    usage,
)
from twin.services.bigquery import semantics as bigquery
from twin.services.bigquery.recovery import Dedupe, end_interrupted, tables_in_use
from twin.services.bigquery.warehouse import Warehouse
from twin.services.compute import semantics as compute
from twin.services.run import semantics as run
from twin.services.storage_blobs import Blobs
from twin.services.storage_buckets import sweep


def services() -> dict[str, Semantics]:
    """Semantics by API name."""
    found = [
        accounts.CREDENTIALS,
        accounts.IAM,
        bigquery.SEMANTICS,
        compute.SEMANTICS,
        databases.SEMANTICS,
        dataflow.SEMANTICS,
        kms.SEMANTICS,
        memorystore.SEMANTICS,
        logs.LOGGING,
        observability.MONITORING,
        *others.ALL,
        projects.SEMANTICS,
        run.SEMANTICS,
        secrets.SEMANTICS,
        storage.SEMANTICS,
        usage.SEMANTICS,
    ]
    return {semantics.api: semantics for semantics in found}


def seeders() -> list[Seeder]:
    """What fills a fresh project, in order."""
    return [fresh.project, fresh.network, fresh.log_buckets]


def open_parts(engine: Engine, folder: Path) -> None:
    """Attach what services keep beside the store; end what a kill interrupted."""
    engine.parts["warehouse"] = Warehouse(folder, tables_in_use(engine))
    engine.parts["dedupe"] = Dedupe()
    engine.parts["blobs"] = Blobs(folder)
    sweep(engine)
    engine.transact(lambda context: end_interrupted(engine, context))


def rules() -> list[Rule]:
    """All rules, sorted by id."""
    return sorted((rule for semantics in services().values() for rule in semantics.rules), key=lambda rule: rule.id)
