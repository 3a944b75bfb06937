"""BigQuery's table of methods, and its rules."""

from __future__ import annotations

import importlib
from typing import Any

from twin.kernel.semantics import Call, MethodFunction, Rule, Semantics
from twin.kernel.types import Body, Reply
from twin.services.bigquery import datasets, metadata, routines

DOCS = "https://cloud.google.com/bigquery/docs/"


def _later(path: str) -> MethodFunction:
    """A method whose module loads on first use: the SQL translator costs 130 ms and 15 MB."""
    module, _, function = path.partition(".")

    def call_it(call: Call) -> Body | Reply:
        found: Any = importlib.import_module(f"twin.services.bigquery.{module}")
        answer: Body | Reply = getattr(found, function)(call)
        return answer

    return call_it


SEMANTICS = Semantics(
    api="bigquery",
    dialect="legacy+status",
    missing=metadata.missing,
    existing=metadata.existing,
    denied=metadata.denied,
    merge_patch=True,
    ids={
        "datasets": "datasetReference.datasetId",
        "tables": "tableReference.tableId",
        "routines": "routineReference.routineId",
        "rowAccessPolicies": "rowAccessPolicyReference.policyId",
    },
    methods={
        "datasets.insert": datasets.insert_dataset,
        "datasets.list": datasets.list_datasets,
        "routines.list": routines.list_routines,
        "tables.get": metadata.get_table,
        "tables.list": metadata.list_tables,
        "tables.patch": metadata.patch_table,
        "tables.update": metadata.update_table,
        "tabledata.list": _later("movement.list_rows"),
        "tabledata.insertAll": _later("movement.insert_all"),
        "jobs.insert": _later("jobs.insert"),
        "jobs.get": _later("jobs.get"),
        "jobs.list": _later("jobs.list_"),
        "jobs.cancel": _later("jobs.cancel"),
        "jobs.delete": _later("jobs.delete"),
        "jobs.query": _later("jobs.run_query"),
        "jobs.getQueryResults": _later("jobs.results"),
        "projects.getServiceAccount": _later("jobs.service_account"),
        "projects.list": datasets.list_projects,
    },
    creating={
        "datasets": datasets.create_dataset,
        "tables": metadata.create_table,
        "routines": routines.create_routine,
        "rowAccessPolicies": routines.create_policy,
    },
    updating={"datasets": datasets.update_dataset, "routines": routines.update_routine},
    deleting={"datasets": datasets.delete_dataset},
    viewing={"tables": metadata.view_table},
    bindings=datasets.bindings,
    permissions={
        "jobs.insert": "bigquery.jobs.create",
        "jobs.query": "bigquery.jobs.create",
        "jobs.getQueryResults": "",
        "jobs.get": "",
        "jobs.cancel": "",
        "jobs.list": "",
        "tabledata.list": "bigquery.tables.getData",
        "tabledata.insertAll": "bigquery.tables.updateData",
        "projects.getServiceAccount": "",
        "projects.list": "",
    },
    rules=(
        Rule(
            "bigquery.key-location",
            "a key's location must match the dataset's: US → us, EU → europe, a region → itself",
            DOCS + "customer-managed-encryption#troubleshooting_errors",
        ),
        Rule(
            "bigquery.agent-on-demand",
            "the encryption agent appears when getServiceAccount is called",
            DOCS + "customer-managed-encryption#grant_permission",
        ),
        Rule(
            "bigquery.grant-needed",
            "without a grant on the key: 'Access Denied: BigQuery BigQuery: Cloud KMS Error: Permission … Please grant Cloud KMS CryptoKey Encrypter/Decrypter role …'",
            "https://github.com/GoogleCloudPlatform/cdmc/issues/19",
        ),
        Rule(
            "bigquery.disabled-key-denies",
            "a table under a key that is not enabled cannot be read",
            DOCS + "customer-managed-encryption#remove_access",
        ),
        Rule(
            "bigquery.disabled-key-wording",
            "the sentence for a disabled key is Cloud KMS's own behind 'Cloud KMS Error:'",
            "",
            "assumed",
        ),
        Rule(
            "bigquery.default-key-new-tables-only",
            "a dataset's default key covers tables made after it was set",
            DOCS + "customer-managed-encryption#dataset_default_key",
        ),
        Rule(
            "bigquery.no-direct-rekey",
            "an update changes the key only of a table that already has one; a Google-encrypted table is copied",
            DOCS + "customer-managed-encryption#change_to_kms",
        ),
        Rule(
            "bigquery.copy-drops-key",
            "a copy without destinationEncryptionConfiguration takes the dataset's default key or none",
            DOCS + "customer-managed-encryption#remove_key",
        ),
        Rule(
            "bigquery.append-same-key",
            "'Existing table encryption settings do not match encryption settings specified in the request'",
            DOCS + "customer-managed-encryption#troubleshooting_errors",
        ),
        Rule(
            "bigquery.copy-leaves-buffer",
            "rows in the streaming buffer may be left out of a copy",
            DOCS + "streaming-data-into-bigquery#dataavailability",
        ),
        Rule(
            "bigquery.buffer-refuses-dml",
            "UPDATE and DELETE are refused while rows are in the streaming buffer",
            DOCS + "reference/standard-sql/dml-syntax#limitations",
        ),
        Rule(
            "bigquery.buffer-duration",
            "how long rows stay in the buffer is a setting (Google: up to 90 minutes)",
            "",
            "assumed",
        ),
        Rule("bigquery.time-travel", "FOR SYSTEM_TIME AS OF reads the rows of that moment", DOCS + "time-travel"),
        Rule(
            "bigquery.update-mode",
            "UPDATE_METADATA leaves access alone, UPDATE_ACL changes nothing else",
            DOCS + "reference/rest/v2/datasets/patch#UpdateMode",
        ),
        Rule(
            "bigquery.dataset-in-use",
            "a dataset with tables is deleted only with deleteContents",
            DOCS + "managing-datasets#delete-datasets",
        ),
        Rule(
            "bigquery.default-access",
            "a dataset without access entries gets owners, writers, readers of the project and its creator",
            DOCS + "reference/rest/v2/datasets#Dataset",
        ),
        Rule(
            "bigquery.job-errors",
            "jobs.insert answers 200 with the error in the job; jobs.query fails over HTTP",
            DOCS + "error-messages",
        ),
        Rule(
            "bigquery.where-required",
            "UPDATE and DELETE need a WHERE clause",
            DOCS + "reference/standard-sql/dml-syntax",
        ),
        Rule(
            "bigquery.schema-grows-only",
            "an update may add nullable columns and relax, not remove or retype",
            DOCS + "managing-table-schemas",
        ),
        Rule(
            "bigquery.dedupe",
            "an insertId is remembered for a minute",
            DOCS + "streaming-data-into-bigquery#dataconsistency",
        ),
        Rule(
            "bigquery.dialect",
            "SQL is translated to DuckDB; functions that DuckDB lacks are refused as invalidQuery",
            "",
            "assumed",
        ),
    ),
)
