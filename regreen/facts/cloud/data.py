"""Datasets, tables and keys, read with BigQuery's and Cloud KMS's own clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from regreen.facts.cloud.google import CloudError, Google

if TYPE_CHECKING:
    from regreen.environment import Environment
    from regreen.facts.cloud.snapshot import Body

_WORKERS: Final = 12


def _bigquery(environment: Environment) -> Any:
    from google.cloud import bigquery
    from requests.adapters import HTTPAdapter

    client = bigquery.Client(project=environment.project.id)
    client._http.mount("https://", HTTPAdapter(pool_connections=_WORKERS, pool_maxsize=_WORKERS))
    return client


def datasets(google: Google, environment: Environment) -> Iterable[tuple[str, Body]]:
    """The datasets that the environment's encryption policy names, in full; one that does not exist is left out."""
    from google.api_core.exceptions import GoogleAPIError, NotFound

    if environment.encryption is None:
        return
    client = _bigquery(environment)
    try:
        for name in environment.encryption.datasets:
            try:
                yield name, client.get_dataset(f"{environment.project.id}.{name}").to_api_repr()
            except NotFound:
                continue
    except GoogleAPIError as error:
        raise CloudError(str(error)) from None
    finally:
        client.close()


def tables(google: Google, environment: Environment) -> Iterable[tuple[str, Body]]:
    """Every table of those datasets, in full, by `dataset.table`: a list does not say what encrypts a table."""
    from google.api_core.exceptions import GoogleAPIError, NotFound

    if environment.encryption is None:
        return
    client = _bigquery(environment)

    def full(item: Any) -> tuple[str, Body]:
        return f"{item.dataset_id}.{item.table_id}", client.get_table(item.reference).to_api_repr()

    try:
        with ThreadPoolExecutor(_WORKERS) as pool:
            for name in environment.encryption.datasets:
                try:
                    listed = list(client.list_tables(f"{environment.project.id}.{name}", page_size=1000))
                except NotFound:
                    continue
                yield from pool.map(full, listed)
    except GoogleAPIError as error:
        raise CloudError(str(error)) from None
    finally:
        client.close()


def keys(google: Google, environment: Environment) -> Iterable[tuple[str, Body]]:
    """The environment's keys: rotation, primary version and its state, who may use them. A missing one is left out."""
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.cloud import kms_v1

    if environment.encryption is None:
        return
    # REST: one protocol and one proxy rule for all that is read.
    client = kms_v1.KeyManagementServiceClient(transport="rest")
    try:
        for name in environment.encryption.keys:
            try:
                key: Any = client.get_crypto_key(name=name)  # proto-plus: durations come as timedelta
                policy = client.get_iam_policy(request={"resource": name})
            except NotFound:
                continue
            yield name, _key(key, policy)
    except GoogleAPIError as error:
        raise CloudError(str(error)) from None
    finally:
        client.transport.close()  # type: ignore[no-untyped-call]


def _key(key: Any, policy: Any) -> Body:
    return {
        "name": key.name,
        "purpose": key.purpose.name,
        "labels": dict(key.labels),
        "versionTemplate": {
            "protectionLevel": key.version_template.protection_level.name,
            "algorithm": key.version_template.algorithm.name,
        },
        **({"importOnly": True} if key.import_only else {}),
        **(
            {"destroyScheduledDuration": f"{int(key.destroy_scheduled_duration.total_seconds())}s"}
            if key.destroy_scheduled_duration
            else {}
        ),
        "rotationPeriod": int(key.rotation_period.total_seconds()) if key.rotation_period else 0,
        "nextRotationTime": str(key.next_rotation_time or ""),
        "primary": {"name": key.primary.name, "state": key.primary.state.name if key.primary.name else ""},
        "bindings": [{"role": item.role, "members": list(item.members)} for item in policy.bindings],
    }


def key_name(name: str) -> str:
    """A key's name without the version that BigQuery adds to it."""
    return name.split("/cryptoKeyVersions/", 1)[0]


def iterate(body: Body, *path: str) -> Iterator[Any]:
    """The elements of a list below a body; none where there is no such list."""
    at: Any = body
    for part in path:
        at = at.get(part) if isinstance(at, dict) else None
    yield from at or ()
