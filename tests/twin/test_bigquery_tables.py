"""BigQuery's other tables through the official client: views, snapshots, clones, external files; encryption over copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery, kms

from twin.process import Running

PROJECT = "staging-twin"


@pytest.fixture
def client(twin: Running) -> Iterator[Any]:
    made: Any = bigquery.Client(project=PROJECT)
    yield made
    made.close()


@pytest.fixture
def table(client: Any, unique: str) -> str:
    client.create_dataset(bigquery.Dataset(f"{PROJECT}.{unique}"))
    client.query(f"CREATE TABLE {unique}.t AS SELECT 1 AS a, 'x' AS s UNION ALL SELECT 2, 'y'").result()
    return f"{PROJECT}.{unique}.t"


@pytest.fixture
def key(client: Any, unique: str, settle: Callable[[], None]) -> Iterator[str]:
    vault: Any = kms.KeyManagementServiceClient()
    ring = vault.create_key_ring(parent=f"projects/{PROJECT}/locations/us", key_ring_id=unique, key_ring={}).name
    purpose = kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
    name = str(vault.create_crypto_key(parent=ring, crypto_key_id="k", crypto_key={"purpose": purpose}).name)
    policy = vault.get_iam_policy(request={"resource": name})
    member = f"serviceAccount:{client.get_service_account_email()}"
    policy.bindings.add(role="roles/cloudkms.cryptoKeyEncrypterDecrypter", members=[member])
    vault.set_iam_policy(request={"resource": name, "policy": policy})
    settle()
    yield name
    vault.transport.close()


def rows(client: Any, sql: str) -> list[tuple[object, ...]]:
    return sorted(tuple(row) for row in client.query(sql).result())


def test_a_view_has_the_columns_of_its_query(client: Any, table: str) -> None:
    view = bigquery.Table(table + "_view")
    view.view_query = f"SELECT s, a + 1 AS b FROM `{table}`"
    made = client.create_table(view)
    assert [(field.name, field.field_type) for field in made.schema] == [("s", "STRING"), ("b", "INTEGER")]
    broken = bigquery.Table(table + "_broken")
    broken.view_query = f"SELECT gone FROM `{table}`"
    with pytest.raises(exceptions.BadRequest, match="Unrecognized name: gone"):
        client.create_table(broken)


def test_a_snapshot_keeps_the_rows_and_takes_none(client: Any, table: str) -> None:
    snapshot = table + "_snapshot"
    client.copy_table(table, snapshot, job_config=bigquery.CopyJobConfig(operation_type="SNAPSHOT")).result()
    client.query(f"DELETE FROM `{table}` WHERE a = 1").result()
    assert rows(client, f"SELECT a FROM `{table}`") == [(2,)]
    assert rows(client, f"SELECT a FROM `{snapshot}`") == [(1,), (2,)]
    made = client.get_table(snapshot)
    assert (made.table_type, made.snapshot_definition.base_table_reference.table_id) == ("SNAPSHOT", "t")
    with pytest.raises(exceptions.BadRequest, match="DML is not supported over SNAPSHOT"):
        client.query(f"DELETE FROM `{snapshot}` WHERE a = 1").result()
    with pytest.raises(exceptions.BadRequest, match="this is a SNAPSHOT"):
        client.copy_table(snapshot, table + "_plain").result()
    restore = bigquery.CopyJobConfig(operation_type="RESTORE", write_disposition="WRITE_TRUNCATE")
    client.copy_table(snapshot, table, job_config=restore).result()
    assert rows(client, f"SELECT a FROM `{table}`") == [(1,), (2,)]


def test_a_clone_says_what_it_was_made_from(client: Any, table: str) -> None:
    client.copy_table(table, table + "_clone", job_config=bigquery.CopyJobConfig(operation_type="CLONE")).result()
    assert client.get_table(table + "_clone").clone_definition.base_table_reference.table_id == "t"


def test_files_in_storage_are_a_table(client: Any, table: str, unique: str) -> None:
    import importlib

    storage: Any = importlib.import_module("google.cloud.storage")
    files = storage.Client(project=PROJECT)
    files.create_bucket(unique).blob("in/1.csv").upload_from_string("n,w\n1,one\n2,two\n")
    files.close()
    outside = bigquery.Table(table + "_files")
    configuration: Any = bigquery.ExternalConfig("CSV")
    configuration.source_uris = [f"gs://{unique}/in/*.csv"]
    configuration.schema = [bigquery.SchemaField("n", "INTEGER"), bigquery.SchemaField("w", "STRING")]
    configuration.options.skip_leading_rows = 1
    outside.external_data_configuration = configuration
    assert client.create_table(outside).table_type == "EXTERNAL"
    assert rows(client, f"SELECT n, w FROM `{table}_files`") == [(1, "one"), (2, "two")]
    with pytest.raises(exceptions.BadRequest, match="this is a EXTERNAL"):
        client.copy_table(table + "_files", table + "_copied").result()


def test_a_copy_without_the_option_drops_the_key(client: Any, table: str, key: str) -> None:
    encrypted = bigquery.CopyJobConfig(
        write_disposition="WRITE_TRUNCATE", destination_encryption_configuration=bigquery.EncryptionConfiguration(key)
    )
    client.copy_table(table, table, job_config=encrypted).result()
    assert client.get_table(table).encryption_configuration.kms_key_name == key
    assert rows(client, f"SELECT a FROM `{table}`") == [(1,), (2,)]
    client.copy_table(table, table, job_config=bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")).result()
    assert client.get_table(table).encryption_configuration is None


def test_who_may_not_query_is_told_by_bigquery(client: Any, table: str, twin: Running) -> None:
    from twin.caller import Caller

    stranger = Caller(twin, "user:stranger@example.com")
    project, dataset, short = table.split(".")
    status, refusal = stranger(
        "GET", f"bigquery.googleapis.com/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{short}"
    )
    stranger.close()
    spoken = f"{project}:{dataset}.{short}"
    assert (status, refusal["error"]["message"], refusal["error"]["errors"][0]["reason"]) == (
        403,
        f"Access Denied: Table {spoken}: Permission bigquery.tables.get denied on table {spoken} (or it may not exist).",
        "accessDenied",
    )


def test_tables_made_from_tables(client: Any, table: str) -> None:
    for word, expected in (("COPY", [(1,), (2,)]), ("CLONE", [(1,), (2,)]), ("LIKE", [])):
        client.query(f"CREATE TABLE `{table}_{word}` {word} `{table}`").result()
        assert rows(client, f"SELECT a FROM `{table}_{word}`") == expected
    client.query(f"ALTER TABLE `{table}_COPY` DROP COLUMN s").result()
    assert [field.name for field in client.get_table(f"{table}_COPY").schema] == ["a"]


def test_a_materialized_view_and_clustering_are_what_was_asked_for(client: Any, table: str) -> None:
    client.query(f"CREATE MATERIALIZED VIEW `{table}_mv` AS SELECT s, COUNT(*) AS n FROM `{table}` GROUP BY s").result()
    made = client.get_table(table + "_mv")
    assert (made.table_type, [field.name for field in made.schema]) == ("MATERIALIZED_VIEW", ["s", "n"])
    assert rows(client, f"SELECT s, n FROM `{table}_mv`") == [("x", 1), ("y", 1)]
    client.query(f"CREATE TABLE `{table}_c` (d DATE, v INT64) PARTITION BY d CLUSTER BY v").result()
    made = client.get_table(table + "_c")
    assert (made.time_partitioning.field, made.clustering_fields) == ("d", ["v"])


def test_a_dry_run_and_a_limit_know_what_would_be_read(client: Any, table: str) -> None:
    dry = client.query(f"SELECT a FROM `{table}`", job_config=bigquery.QueryJobConfig(dry_run=True))
    assert (dry.total_bytes_processed, [item.table_id for item in dry.referenced_tables]) == (32, ["t"])
    # The client knows no class for this reason and says 500, as it does with Google.
    with pytest.raises(
        exceptions.InternalServerError, match=r"exceeded limit for bytes billed: 1\. 10485760 or higher"
    ):
        client.query(f"SELECT a FROM `{table}`", job_config=bigquery.QueryJobConfig(maximum_bytes_billed=1)).result()
    assert rows(client, "SELECT FORMAT('%d-%s', 3, 'x')") == [("3-x",)]
