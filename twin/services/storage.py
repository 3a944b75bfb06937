"""Cloud Storage: the table of methods, and its rules.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

from twin.kernel.semantics import Rule, Semantics
from twin.services import storage_access as access
from twin.services import storage_buckets as buckets
from twin.services import storage_copies as copies
from twin.services import storage_extras as extras
from twin.services import storage_objects as objects

DOCS = "https://cloud.google.com/storage/docs/"

SEMANTICS = Semantics(
    api="storage",
    dialect="legacy",
    missing=buckets.missing,
    existing=buckets.existing,
    merge_patch=True,
    short_names=True,
    methods={
        "buckets.insert": buckets.create_bucket,
        "buckets.list": buckets.list_buckets,
        "buckets.getIamPolicy": buckets.get_policy,
        "buckets.setIamPolicy": buckets.set_policy,
        "buckets.testIamPermissions": buckets.test_permissions,
        "buckets.getStorageLayout": buckets.layout,
        "objects.list": buckets.list_objects,
        "objects.insert": objects.insert,
        "objects.get": objects.get,
        "objects.patch": objects.patch,
        "objects.update": objects.patch,
        "objects.delete": objects.delete,
        "objects.copy": copies.copy,
        "objects.rewrite": copies.rewrite,
        "objects.compose": copies.compose,
        "serviceAccount.get": buckets.service_account,
        "buckets.get": buckets.get_bucket,
        "buckets.patch": buckets.change_bucket,
        "buckets.update": buckets.change_bucket,
        "buckets.restore": buckets.restore_bucket,
        "buckets.lockRetentionPolicy": buckets.lock_retention,
        "objects.restore": objects.restore,
        "objects.move": copies.move,
        "notifications.insert": extras.insert_notification,
        "notifications.get": extras.notification,
        "notifications.delete": extras.notification,
        "notifications.list": extras.list_notifications,
        "hmacKeys.create": extras.create_key,
        "hmacKeys.get": extras.get_key,
        "hmacKeys.update": extras.update_key,
        "hmacKeys.delete": extras.delete_key,
        "hmacKeys.list": extras.list_keys,
        **{
            f"{collection}.{verb}": access.access_method
            for collection in ("bucketAccessControls", "defaultObjectAccessControls", "objectAccessControls")
            for verb in ("list", "get", "insert", "update", "patch", "delete")
        },
        **{
            f"{collection}.{verb}": function
            for collection in ("folders", "managedFolders")
            for verb, function in (
                ("insert", extras.insert_folder),
                ("get", extras.folder),
                ("delete", extras.folder),
                ("list", extras.list_folders),
            )
        },
    },
    updating={"b": buckets.update_bucket},
    deleting={"b": buckets.delete_bucket},
    bindings=access.bindings,
    denied=objects.denied,
    permissions={
        "buckets.insert": "",
        "buckets.list": "",
        "objects.copy": "storage.objects.create",
        "objects.rewrite": "storage.objects.create",
        "objects.compose": "storage.objects.create",
        "serviceAccount.get": "",
        "objects.move": "storage.objects.move",
        "objects.restore": "storage.objects.restore",
        "buckets.lockRetentionPolicy": "storage.buckets.update",
        **{
            f"{collection}.{verb}": f"storage.{what}.{'getIamPolicy' if verb in ('list', 'get') else 'setIamPolicy'}"
            for collection, what in (
                ("bucketAccessControls", "buckets"),
                ("defaultObjectAccessControls", "buckets"),
                ("objectAccessControls", "objects"),
            )
            for verb in ("list", "get", "insert", "update", "patch", "delete")
        },
        "buckets.getStorageLayout": "storage.objects.list",
    },
    rules=(
        Rule("storage.not-empty", "a bucket with objects is not deleted (409)", DOCS + "deleting-buckets"),
        Rule(
            "storage.generations",
            "ifGenerationMatch 0 means: only if it does not exist",
            DOCS + "request-preconditions",
        ),
        Rule(
            "storage.default-key",
            "a bucket's default key covers new objects, through the storage agent's grant",
            DOCS + "encryption/customer-managed-keys",
        ),
        Rule(
            "storage.key-location",
            "the key's location matches the bucket's",
            DOCS + "encryption/customer-managed-keys#restrictions",
        ),
        Rule(
            "storage.soft-delete",
            "deleted and overwritten objects are kept and restorable for 7 days by default",
            DOCS + "soft-delete",
        ),
        Rule(
            "storage.versioning",
            "in a versioned bucket a replaced or deleted object becomes noncurrent; naming the generation deletes for good",
            DOCS + "object-versioning",
        ),
        Rule(
            "storage.retention",
            "an object under a retention policy or a hold is neither deleted nor overwritten; a locked policy only grows",
            DOCS + "bucket-lock",
        ),
        Rule(
            "storage.lists-or-uniform",
            "access lists exist only where uniform access is off, and then grant beside IAM",
            DOCS + "uniform-bucket-level-access",
        ),
        Rule(
            "storage.lifecycle-on-sight", "lifecycle rules act when a bucket is listed", DOCS + "lifecycle", "assumed"
        ),
        Rule(
            "storage.public-prevention",
            "allUsers is refused where public access prevention is enforced",
            DOCS + "public-access-prevention",
        ),
        Rule(
            "storage.checksums",
            "crc32c and md5Hash of every object; a wrong one in an upload is refused",
            DOCS + "data-validation",
        ),
        Rule("storage.location-is-fixed", "a bucket's location cannot be changed", DOCS + "locations"),
    ),
)
