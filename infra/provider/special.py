"""What single types do otherwise than the rest. Each with the reason; everything else is the table's."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from infra.provider.resource import Resource

Object = dict[str, Any]
Inputs = Mapping[str, Any]


class Special:
    """The ordinary case."""

    view: Mapping[str, str] | None = None
    update_query: Mapping[str, str] = {}

    def body(self, body: Object, inputs: Inputs, settings: Mapping[str, str]) -> Object:
        """The object as it is sent."""
        return body

    def create(self, on: Resource, url: str, body: Object, query: Mapping[str, str], inputs: Inputs) -> Object:
        return on.rest.settled(on.rest.call("POST", url, body, query), on.spec.base)

    def own(self, on: Resource, inputs: Inputs, answer: Object) -> str:
        """The id, which is the address below the API's base."""
        return on.address(on.spec.own, inputs)

    def gone(self, live: Object) -> bool:
        """Whether a live object is only what is left of one."""
        return False

    def extra(self, live: Object) -> Object:
        """Inputs that the table cannot read."""
        return {}

    def outputs(self, inputs: Inputs, live: Object) -> Object:
        return {}

    def sending(self, body: Object, live: Object, sent: list[str]) -> Object:
        """An update as it is sent."""
        return body

    def updated(self, on: Resource, own: str, changed: list[str], new: Inputs) -> None:
        """Changes that need a call of their own."""

    def delete(self, on: Resource, own: str, inputs: Inputs) -> Object:
        return on.rest.call("DELETE", on.spec.base + own)


class RunService(Special):
    def sending(self, body: Object, live: Object, sent: list[str]) -> Object:
        """A new template under an old revision's name is refused by Cloud Run."""
        template = body.get("template")
        if (
            "template" in sent
            and isinstance(template, dict)
            and template.get("revision") == (live.get("template") or {}).get("revision")
        ):
            template = {key: value for key, value in template.items() if key != "revision"}
        return {**body, "template": template} if template else body


class CryptoKey(Special):
    def body(self, body: Object, inputs: Inputs, settings: Mapping[str, str]) -> Object:
        """Cloud KMS wants to know when the first rotation is: one period from now."""
        period = str(inputs.get("rotationPeriod") or "").removesuffix("s")
        if period:
            first = datetime.now(UTC) + timedelta(seconds=float(period))
            body["nextRotationTime"] = first.strftime("%Y-%m-%dT%H:%M:%SZ")
        body.setdefault("purpose", "ENCRYPT_DECRYPT")
        return body


class HealthCheck(Special):
    def body(self, body: Object, inputs: Inputs, settings: Mapping[str, str]) -> Object:
        """The type is the kind of check that is given."""
        kinds = {"httpHealthCheck": "HTTP", "httpsHealthCheck": "HTTPS", "http2HealthCheck": "HTTP2", "tcpHealthCheck": "TCP",
                 "sslHealthCheck": "SSL", "grpcHealthCheck": "GRPC"}  # fmt: skip
        for name, kind in kinds.items():
            if name in inputs:
                body["type"] = kind
        return body


class Dataset(Special):
    #: The dataset's conditions show only in policy version 3 (magic-modules, Dataset create_url).
    update_query: Mapping[str, str] = {"accessPolicyVersion": "3"}
    view: Mapping[str, str] | None = {"accessPolicyVersion": "3"}

    def delete(self, on: Resource, own: str, inputs: Inputs) -> Object:
        whole = {"deleteContents": "true"} if inputs.get("deleteContentsOnDestroy") else None
        return on.rest.call("DELETE", on.spec.base + own, query=whole)

    def outputs(self, inputs: Inputs, live: Object) -> Object:
        return {"datasetId": (live.get("datasetReference") or inputs).get("datasetId")}


class Table(Special):
    def body(self, body: Object, inputs: Inputs, settings: Mapping[str, str]) -> Object:
        """The schema is JSON text in a program."""
        if inputs.get("schema"):
            body["schema"] = {"fields": json.loads(str(inputs["schema"]))}
        return body

    def extra(self, live: Object) -> Object:
        fields = (live.get("schema") or {}).get("fields")
        return {"schema": json.dumps(fields)} if fields else {}

    def updated(self, on: Resource, own: str, changed: list[str], new: Inputs) -> None:
        if "schema" in changed:
            on.rest.call("PATCH", on.spec.base + own, {"schema": {"fields": json.loads(str(new["schema"]))}})


class Bucket(Special):
    view: Mapping[str, str] | None = {"projection": "noAcl"}

    def own(self, on: Resource, inputs: Inputs, answer: Object) -> str:
        return f"b/{inputs['name']}"

    def body(self, body: Object, inputs: Inputs, settings: Mapping[str, str]) -> Object:
        return body

    def outputs(self, inputs: Inputs, live: Object) -> Object:
        return {"url": f"gs://{inputs.get('name') or live.get('name')}"}


class BucketObject(Special):
    def create(self, on: Resource, url: str, body: Object, query: Mapping[str, str], inputs: Inputs) -> Object:
        content = (
            str(inputs["content"]).encode() if "content" in inputs else Path(str(_path(inputs["source"]))).read_bytes()
        )
        kind = str(inputs.get("contentType") or "application/octet-stream")
        boundary = "regreen-7f2c1d"
        while boundary.encode() in content:
            boundary += "x"
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(body)}\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n"
        whole = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        target = url.replace("/storage/v1/", "/upload/storage/v1/")
        form = {"Content-Type": f"multipart/related; boundary={boundary}"}
        return on.rest.call("POST", target, whole, {"uploadType": "multipart"}, form)

    def own(self, on: Resource, inputs: Inputs, answer: Object) -> str:
        return f"b/{inputs['bucket']}/o/{quote(str(inputs['name']), safe='')}"


def _path(source: Any) -> Any:
    """A file asset's path."""
    return source.get("path") if isinstance(source, Mapping) else source


class DatabaseInstance(Special):
    def body(self, body: Object, inputs: Inputs, settings: Mapping[str, str]) -> Object:
        return body

    def sending(self, body: Object, live: Object, sent: list[str]) -> Object:
        """A change of settings names the version that it was made from."""
        version = (live.get("settings") or {}).get("settingsVersion")
        if version is not None and isinstance(body.get("settings"), dict):
            body["settings"]["settingsVersion"] = version
        return body


class SecretVersion(Special):
    def create(self, on: Resource, url: str, body: Object, query: Mapping[str, str], inputs: Inputs) -> Object:
        value = str(inputs.get("secretDataWo") or inputs.get("secretData") or "")
        data = value if inputs.get("isSecretDataBase64") else base64.b64encode(value.encode()).decode()
        answer = on.rest.call("POST", url, {"payload": {"data": data}})
        if inputs.get("enabled") is False:
            on.rest.call("POST", f"{on.spec.base}{answer['name']}:disable", {})
        return answer

    def own(self, on: Resource, inputs: Inputs, answer: Object) -> str:
        return str(answer["name"])

    def gone(self, live: Object) -> bool:
        return live.get("state") == "DESTROYED"

    def extra(self, live: Object) -> Object:
        return {"secret": str(live["name"]).partition("/versions/")[0], "enabled": live.get("state") == "ENABLED"}

    def outputs(self, inputs: Inputs, live: Object) -> Object:
        return {"version": str(live.get("name", "")).rpartition("/")[2], "enabled": live.get("state") == "ENABLED"}

    def updated(self, on: Resource, own: str, changed: list[str], new: Inputs) -> None:
        if "enabled" in changed:
            verb = "disable" if new.get("enabled") is False else "enable"
            on.rest.call("POST", f"{on.spec.base}{own}:{verb}", {})

    def delete(self, on: Resource, own: str, inputs: Inputs) -> Object:
        verb = "disable" if inputs.get("deletionPolicy") == "DISABLE" else "destroy"
        on.rest.call("POST", f"{on.spec.base}{own}:{verb}", {})
        return {}


class ProjectService(Special):
    def create(self, on: Resource, url: str, body: Object, query: Mapping[str, str], inputs: Inputs) -> Object:
        return on.rest.settled(on.rest.call("POST", url, {}), on.spec.base)

    def gone(self, live: Object) -> bool:
        return live.get("state") == "DISABLED"

    def delete(self, on: Resource, own: str, inputs: Inputs) -> Object:
        if inputs.get("disableOnDestroy") is not True:
            return {}
        return on.rest.call("POST", f"{on.spec.base}{own}:disable", {})


class Account(Special):
    def create(self, on: Resource, url: str, body: Object, query: Mapping[str, str], inputs: Inputs) -> Object:
        return on.rest.call("POST", url, {"accountId": inputs["accountId"], "serviceAccount": body})

    def sending(self, body: Object, live: Object, sent: list[str]) -> Object:
        """This API takes the object and its mask in the body."""
        return {"serviceAccount": body, "updateMask": ",".join(body)}

    def outputs(self, inputs: Inputs, live: Object) -> Object:
        email = str(live.get("email", ""))
        return {"email": email, "member": f"serviceAccount:{email}", "accountId": email.partition("@")[0]}


class DataflowJob(Special):
    """A job is launched from its template, and cancelled or drained instead of deleted."""

    def body(self, body: Object, inputs: Inputs, settings: Mapping[str, str]) -> Object:
        environment = {
            "tempLocation": inputs.get("tempGcsLocation") or inputs.get("tempLocation"),
            "kmsKeyName": inputs.get("kmsKeyName"),
            "maxWorkers": inputs.get("maxWorkers"),
            "serviceAccountEmail": inputs.get("serviceAccountEmail"),
            "machineType": inputs.get("machineType"),
            "network": inputs.get("network"),
            "subnetwork": inputs.get("subnetwork"),
            "additionalUserLabels": inputs.get("labels"),
        }
        found = {key: value for key, value in environment.items() if value is not None}
        parameters = {key: str(value) for key, value in (inputs.get("parameters") or {}).items()}
        if "containerSpecGcsPath" in inputs:
            launch = {"jobName": inputs["name"], "containerSpecGcsPath": inputs["containerSpecGcsPath"]}
            return {"launchParameter": {**launch, "parameters": parameters, "environment": found}}
        return {
            "jobName": inputs["name"],
            "gcsPath": inputs["templateGcsPath"],
            "parameters": parameters,
            "environment": found,
        }

    def own(self, on: Resource, inputs: Inputs, answer: Object) -> str:
        job = answer.get("job") or answer
        place = on.address(
            "projects/{project}/locations/{region}", {**inputs, "region": inputs.get("region") or job.get("location")}
        )
        return f"{place}/jobs/{job['id']}"

    def extra(self, live: Object) -> Object:
        key = (live.get("environment") or {}).get("serviceKmsKeyName")
        return {"name": live.get("name"), **({"kmsKeyName": key} if key else {})}

    def outputs(self, inputs: Inputs, live: Object) -> Object:
        return {"jobId": live.get("id"), "state": live.get("currentState"), "type": live.get("type")}

    def delete(self, on: Resource, own: str, inputs: Inputs) -> Object:
        wanted = "JOB_STATE_DRAINED" if inputs.get("onDelete") == "drain" else "JOB_STATE_CANCELLED"
        return on.rest.call("PUT", on.spec.base + own, {"requestedState": wanted})


_SPECIAL: Final[Mapping[str, Special]] = {
    "gcp:cloudrunv2/service:Service": RunService(),
    "gcp:kms/cryptoKey:CryptoKey": CryptoKey(),
    "gcp:compute/healthCheck:HealthCheck": HealthCheck(),
    "gcp:bigquery/dataset:Dataset": Dataset(),
    "gcp:bigquery/table:Table": Table(),
    "gcp:storage/bucket:Bucket": Bucket(),
    "gcp:storage/bucketObject:BucketObject": BucketObject(),
    "gcp:sql/databaseInstance:DatabaseInstance": DatabaseInstance(),
    "gcp:secretmanager/secretVersion:SecretVersion": SecretVersion(),
    "gcp:projects/service:Service": ProjectService(),
    "gcp:serviceaccount/account:Account": Account(),
    "gcp:dataflow/job:Job": DataflowJob(),
    "gcp:dataflow/flexTemplateJob:FlexTemplateJob": DataflowJob(),
}
_ORDINARY: Final = Special()


def special(token: str) -> Special:
    """What a type does otherwise; the ordinary case for all others."""
    return _SPECIAL.get(token, _ORDINARY)
