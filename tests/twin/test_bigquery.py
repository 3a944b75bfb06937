"""BigQuery through its official client: rows, jobs, and the rules of customer-managed keys."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery, kms

from twin.process import Running

PROJECT = "staging-twin"
KEYS = f"projects/{PROJECT}/locations/us"
SCHEMA = [bigquery.SchemaField("a", "INTEGER"), bigquery.SchemaField("s", "STRING")]


@pytest.fixture
def client(twin: Running) -> Iterator[Any]:
    made: Any = bigquery.Client(project=PROJECT)
    yield made
    made.close()


@pytest.fixture
def vault(twin: Running) -> Iterator[Any]:
    made: Any = kms.KeyManagementServiceClient()
    yield made
    made.transport.close()


@pytest.fixture
def dataset(client: Any, unique: str) -> str:
    client.create_dataset(bigquery.Dataset(f"{PROJECT}.{unique}"))
    return unique


def make_key(vault: Any, unique: str, location: str = "us") -> str:
    parent = f"projects/{PROJECT}/locations/{location}"
    ring = vault.create_key_ring(parent=parent, key_ring_id=unique, key_ring={}).name
    purpose = kms.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
    return str(vault.create_crypto_key(parent=ring, crypto_key_id="k", crypto_key={"purpose": purpose}).name)


def grant(client: Any, vault: Any, key: str) -> None:
    policy = vault.get_iam_policy(request={"resource": key})
    agent = client.get_service_account_email()
    policy.bindings.add(role="roles/cloudkms.cryptoKeyEncrypterDecrypter", members=[f"serviceAccount:{agent}"])
    vault.set_iam_policy(request={"resource": key, "policy": policy})


def rows(client: Any, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in client.query(sql).result()]


@pytest.fixture
def key(client: Any, vault: Any, unique: str, settle: Callable[[], None]) -> str:
    made = make_key(vault, unique)
    grant(client, vault, made)
    settle()
    return made


def encrypted(name: str, key: str) -> bigquery.Table:
    table = bigquery.Table(name, schema=SCHEMA)
    table.encryption_configuration = bigquery.EncryptionConfiguration(kms_key_name=key)
    return table


def test_types_come_back_as_python_has_them(client: Any) -> None:
    sql = """SELECT 1, 1.5, 'x', TRUE, b'ab', DATE '2024-02-29', TIMESTAMP '2024-01-01 00:00:00+00', [1, 2], STRUCT(1 AS x, 'y' AS y),
             NUMERIC '1.25', CAST(NULL AS STRING)"""
    found = rows(client, sql)[0]
    assert found[:5] == (1, 1.5, "x", True, b"ab")
    assert str(found[5]) == "2024-02-29"
    assert found[6] == datetime.fromisoformat("2024-01-01T00:00:00+00:00")
    assert found[7:9] == ([1, 2], {"x": 1, "y": "y"})
    assert (str(found[9]), found[10]) == ("1.25", None)


def test_statements_change_rows_and_say_how_many(client: Any, dataset: str) -> None:
    client.query(f"CREATE TABLE {dataset}.t (a INT64, s STRING)").result()
    assert (
        client.query(f"INSERT INTO {dataset}.t VALUES (1, 'x'), (2, 'y'), (3, 'z')").result().num_dml_affected_rows == 3
    )
    assert client.query(f"UPDATE {dataset}.t SET s = 'u' WHERE a > 1").result().num_dml_affected_rows == 2
    assert client.query(f"DELETE FROM {dataset}.t WHERE a = 3").result().num_dml_affected_rows == 1
    merge = f"""MERGE {dataset}.t t USING (SELECT 2 AS a, 'm' AS s UNION ALL SELECT 9, 'n') q ON t.a = q.a
                WHEN MATCHED THEN UPDATE SET s = q.s WHEN NOT MATCHED THEN INSERT (a, s) VALUES (a, s)"""
    client.query(merge).result()
    assert rows(client, f"SELECT * FROM {dataset}.t ORDER BY a") == [(1, "x"), (2, "m"), (9, "n")]


def test_named_and_positional_parameters(client: Any) -> None:
    named = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter("n", "INT64", 7),
            bigquery.ArrayQueryParameter("l", "STRING", ["p"]),
        ]
    )
    assert [tuple(row) for row in client.query("SELECT @n + 1, @l", job_config=named).result()] == [(8, ["p"])]
    positional = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter(None, "STRING", "it's")])
    assert [tuple(row) for row in client.query("SELECT ?", job_config=positional).result()] == [("it's",)]


def test_a_failed_job_answers_200_and_carries_its_error(client: Any, dataset: str) -> None:
    job = client.query(f"SELECT * FROM {dataset}.nothing")
    with pytest.raises(
        exceptions.NotFound, match=f"Not found: Table {PROJECT}:{dataset}.nothing was not found in location US"
    ):
        job.result()
    assert job.error_result["reason"] == "notFound"
    with pytest.raises(exceptions.BadRequest, match="Syntax error"):
        client.query("SELEC 1").result()


def test_a_view_reads_its_table(client: Any, dataset: str) -> None:
    client.query(f"CREATE TABLE {dataset}.t AS SELECT 4 AS a").result()
    client.query(f"CREATE VIEW {dataset}.v AS SELECT a * 2 AS b FROM {dataset}.t").result()
    assert rows(client, f"SELECT b FROM {dataset}.v") == [(8,)]
    assert client.get_table(f"{PROJECT}.{dataset}.v").table_type == "VIEW"


def test_streamed_rows_are_there_and_bad_ones_are_named(client: Any, dataset: str) -> None:
    table = client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.t", schema=SCHEMA))
    assert client.insert_rows_json(table, [{"a": 1, "s": "x"}]) == []
    errors = client.insert_rows_json(table, [{"a": "no"}, {"b": 1}, {"a": 2}])
    assert [(entry["index"], entry["errors"][0]["reason"]) for entry in errors] == [
        (0, "invalid"),
        (1, "invalid"),
        (2, "stopped"),
    ]
    assert errors[1]["errors"][0]["message"] == "no such field: b."
    assert rows(client, f"SELECT a FROM {dataset}.t") == [(1,)]


def test_time_travel_reads_the_rows_of_that_moment(client: Any, dataset: str, twin: Running) -> None:
    client.query(f"CREATE TABLE {dataset}.t AS SELECT 1 AS a").result()
    twin.admin("POST", "clock", {"advance": 5})
    before = twin.admin("GET", "clock")["now"]
    twin.admin("POST", "clock", {"advance": 5})
    client.query(f"INSERT INTO {dataset}.t VALUES (2)").result()
    sql = f"SELECT count(*) FROM {dataset}.t FOR SYSTEM_TIME AS OF TIMESTAMP '{before}'"
    assert rows(client, sql) == [(1,)]
    assert rows(client, f"SELECT count(*) FROM {dataset}.t") == [(2,)]


def test_load_and_extract(client: Any, dataset: str) -> None:
    settings = bigquery.LoadJobConfig(schema=SCHEMA, skip_leading_rows=1, source_format="CSV")
    job = client.load_table_from_file(io.BytesIO(b'a,s\n1,x\n2,"y,z"\n'), f"{PROJECT}.{dataset}.t", job_config=settings)
    assert job.result().output_rows == 2
    assert rows(client, f"SELECT * FROM {dataset}.t ORDER BY a") == [(1, "x"), (2, "y,z")]
    client.load_table_from_json([{"a": 1, "deep": {"b": [1, 2]}}], f"{PROJECT}.{dataset}.j").result()
    assert rows(client, f"SELECT deep.b FROM {dataset}.j") == [([1, 2],)]


def test_without_a_grant_the_key_is_refused_as_google_words_it(
    client: Any, vault: Any, dataset: str, unique: str
) -> None:
    key = make_key(vault, unique)
    agent = client.get_service_account_email()
    with pytest.raises(exceptions.Forbidden) as refusal:
        client.create_table(encrypted(f"{PROJECT}.{dataset}.t", key))
    said = (
        "Access Denied: BigQuery BigQuery: Cloud KMS Error: Permission 'cloudkms.cryptoKeyVersions.useToEncrypt' denied on resource "
        f"'{key}' (or it may not exist). Please grant Cloud KMS CryptoKey Encrypter/Decrypter role to BigQuery service account: {agent}"
    )
    assert said in str(refusal.value)


def test_a_grant_is_felt_after_the_delay(
    client: Any,
    vault: Any,
    dataset: str,
    unique: str,
    settle: Callable[[], None],
) -> None:
    key = make_key(vault, unique)
    grant(client, vault, key)
    with pytest.raises(exceptions.Forbidden):
        client.create_table(encrypted(f"{PROJECT}.{dataset}.t", key))
    settle()
    client.create_table(encrypted(f"{PROJECT}.{dataset}.t", key))
    assert client.get_table(f"{PROJECT}.{dataset}.t").encryption_configuration.kms_key_name.startswith(key)


def test_a_disabled_key_denies_the_query_and_enabling_heals(
    client: Any, vault: Any, dataset: str, key: str, settle: Callable[[], None]
) -> None:
    client.create_table(encrypted(f"{PROJECT}.{dataset}.t", key))
    client.query(f"INSERT INTO {dataset}.t VALUES (7, 'x')").result()
    version = key + "/cryptoKeyVersions/1"
    states = kms.CryptoKeyVersion.CryptoKeyVersionState

    def set_state(state: int) -> None:
        vault.update_crypto_key_version(
            crypto_key_version={"name": version, "state": state}, update_mask={"paths": ["state"]}
        )
        settle()

    set_state(states.DISABLED)
    with pytest.raises(
        exceptions.Forbidden, match=f"Cloud KMS Error: {version} is not enabled, current state is: DISABLED"
    ):
        client.query(f"SELECT * FROM {dataset}.t").result()
    set_state(states.ENABLED)
    assert rows(client, f"SELECT a FROM {dataset}.t") == [(7,)]


def test_a_table_pins_the_version_that_was_primary(
    client: Any, vault: Any, dataset: str, key: str, settle: Callable[[], None]
) -> None:
    client.create_table(encrypted(f"{PROJECT}.{dataset}.t", key))
    second = vault.create_crypto_key_version(parent=key, crypto_key_version={})
    vault.update_crypto_key_primary_version(name=key, crypto_key_version_id=second.name.rpartition("/")[2])
    states = kms.CryptoKeyVersion.CryptoKeyVersionState
    first = {"name": key + "/cryptoKeyVersions/1", "state": states.DISABLED}
    vault.update_crypto_key_version(crypto_key_version=first, update_mask={"paths": ["state"]})
    settle()
    with pytest.raises(exceptions.Forbidden, match="cryptoKeyVersions/1 is not enabled"):
        client.query(f"SELECT * FROM {dataset}.t").result()


def test_a_key_elsewhere_is_refused(client: Any, vault: Any, dataset: str, unique: str) -> None:
    key = make_key(vault, unique + "-eu", "europe")
    with pytest.raises(exceptions.BadRequest, match="key location does not match"):
        client.create_table(encrypted(f"{PROJECT}.{dataset}.t", key))


def test_a_default_key_covers_new_tables_only(client: Any, dataset: str, key: str) -> None:
    old = client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.old", schema=SCHEMA))
    place = client.get_dataset(dataset)
    place.default_encryption_configuration = bigquery.EncryptionConfiguration(kms_key_name=key)
    client.update_dataset(place, ["default_encryption_configuration"])
    new = client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.new", schema=SCHEMA))
    assert new.encryption_configuration.kms_key_name == key
    assert client.get_table(old).encryption_configuration is None


def test_an_update_cannot_encrypt_an_existing_table_but_a_copy_can(client: Any, dataset: str, key: str) -> None:
    name = f"{PROJECT}.{dataset}.t"
    client.query(f"CREATE TABLE {dataset}.t AS SELECT 5 AS a, 'x' AS s").result()
    table = client.get_table(name)
    table.encryption_configuration = bigquery.EncryptionConfiguration(kms_key_name=key)
    with pytest.raises(exceptions.BadRequest, match="copy the table onto itself"):
        client.update_table(table, ["encryption_configuration"])
    settings = bigquery.CopyJobConfig(
        write_disposition="WRITE_TRUNCATE",
        destination_encryption_configuration=bigquery.EncryptionConfiguration(kms_key_name=key),
    )
    client.copy_table(name, name, job_config=settings).result()
    assert client.get_table(name).encryption_configuration.kms_key_name == key
    assert rows(client, f"SELECT * FROM {dataset}.t") == [(5, "x")]
    client.copy_table(name, name, job_config=bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")).result()
    assert client.get_table(name).encryption_configuration is None


def test_a_copy_leaves_the_streaming_buffer_out(client: Any, dataset: str, twin: Running) -> None:
    table = client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.t", schema=SCHEMA))
    assert client.insert_rows_json(table, [{"a": 1}]) == []
    assert client.get_table(table).streaming_buffer.estimated_rows == 1
    client.copy_table(table, f"{PROJECT}.{dataset}.early").result()
    with pytest.raises(exceptions.BadRequest, match="would affect rows in the streaming buffer"):
        client.query(f"DELETE FROM {dataset}.t WHERE a = 1").result()
    twin.admin("POST", "clock", {"advance": 91})
    client.copy_table(table, f"{PROJECT}.{dataset}.late").result()
    assert rows(client, f"SELECT count(*) FROM {dataset}.early") == [(0,)]
    assert rows(client, f"SELECT count(*) FROM {dataset}.late") == [(1,)]
    assert client.get_table(table).streaming_buffer is None


def test_metadata_updates_leave_access_alone(client: Any, dataset: str) -> None:
    place = client.get_dataset(dataset)
    entries = [*place.access_entries, bigquery.AccessEntry("READER", "userByEmail", "Person@Example.com")]
    place.access_entries = entries
    place = client.update_dataset(place, ["access_entries"])
    assert "person@example.com" in [entry.entity_id for entry in place.access_entries]
    place.description = "now described"
    changed = client.update_dataset(place, ["description"])
    assert len(changed.access_entries) == len(entries)


def test_a_dataset_with_tables_is_kept(client: Any, dataset: str) -> None:
    client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.t", schema=SCHEMA))
    with pytest.raises(exceptions.BadRequest, match="is still in use"):
        client.delete_dataset(dataset)
    client.delete_dataset(dataset, delete_contents=True)
    with pytest.raises(exceptions.NotFound, match=f"Not found: Dataset {PROJECT}:{dataset}"):
        client.get_dataset(dataset)
