"""Predefined roles that the twin knows, as permission patterns.

Source of each list: https://cloud.google.com/iam/docs/roles-permissions. A role that is not in the table grants nothing
but may be bound, so that a policy for a service that the twin knows little about survives a round trip.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache

READ = ("*.get", "*.list", "*.getIamPolicy", "*.aggregatedList", "*.testIamPermissions")

ROLES: dict[str, tuple[str, ...]] = {
    "roles/owner": ("*",),
    "roles/editor": ("*",),
    "roles/viewer": READ,
    "roles/browser": ("resourcemanager.*.get", "resourcemanager.*.list", "resourcemanager.*.getIamPolicy"),
    "roles/cloudkms.admin": (
        "cloudkms.keyRings.*",
        "cloudkms.cryptoKeys.*",
        "cloudkms.cryptoKeyVersions.create",
        "cloudkms.cryptoKeyVersions.destroy",
        "cloudkms.cryptoKeyVersions.get",
        "cloudkms.cryptoKeyVersions.list",
        "cloudkms.cryptoKeyVersions.restore",
        "cloudkms.cryptoKeyVersions.update",
        "cloudkms.importJobs.*",
        "cloudkms.locations.*",
    ),
    "roles/cloudkms.cryptoKeyEncrypterDecrypter": (
        "cloudkms.cryptoKeyVersions.useToEncrypt",
        "cloudkms.cryptoKeyVersions.useToDecrypt",
        "cloudkms.locations.*",
    ),
    "roles/cloudkms.cryptoKeyEncrypter": ("cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.locations.*"),
    "roles/cloudkms.cryptoKeyDecrypter": ("cloudkms.cryptoKeyVersions.useToDecrypt", "cloudkms.locations.*"),
    "roles/cloudkms.signerVerifier": (
        "cloudkms.cryptoKeyVersions.useToSign",
        "cloudkms.cryptoKeyVersions.useToVerify",
        "cloudkms.cryptoKeyVersions.viewPublicKey",
    ),
    "roles/cloudkms.viewer": ("cloudkms.*.get", "cloudkms.*.list"),
    "roles/bigquery.admin": ("bigquery.*",),
    "roles/bigquery.dataOwner": (
        "bigquery.datasets.*",
        "bigquery.tables.*",
        "bigquery.routines.*",
        "bigquery.models.*",
    ),
    "roles/bigquery.dataEditor": (
        "bigquery.datasets.create",
        "bigquery.datasets.get",
        "bigquery.tables.create",
        "bigquery.tables.createSnapshot",
        "bigquery.tables.delete",
        "bigquery.tables.export",
        "bigquery.tables.get",
        "bigquery.tables.getData",
        "bigquery.tables.list",
        "bigquery.tables.update",
        "bigquery.tables.updateData",
        "bigquery.routines.*",
        "bigquery.models.*",
    ),
    "roles/bigquery.dataViewer": (
        "bigquery.datasets.get",
        "bigquery.tables.export",
        "bigquery.tables.get",
        "bigquery.tables.getData",
        "bigquery.tables.list",
        "bigquery.routines.get",
        "bigquery.routines.list",
    ),
    "roles/bigquery.metadataViewer": ("bigquery.datasets.get", "bigquery.tables.get", "bigquery.tables.list"),
    "roles/bigquery.jobUser": ("bigquery.jobs.create",),
    "roles/bigquery.user": (
        "bigquery.jobs.create",
        "bigquery.jobs.list",
        "bigquery.datasets.create",
        "bigquery.datasets.get",
        "bigquery.tables.list",
        "bigquery.tables.get",
    ),
    "roles/run.admin": ("run.*",),
    "roles/run.developer": (
        "run.services.create",
        "run.services.delete",
        "run.services.get",
        "run.services.list",
        "run.services.update",
        "run.services.getIamPolicy",
        "run.jobs.*",
        "run.revisions.*",
        "run.executions.*",
        "run.tasks.*",
        "run.operations.*",
        "run.configurations.*",
        "run.routes.*",
        "run.locations.*",
    ),
    "roles/run.viewer": ("run.*.get", "run.*.list", "run.*.getIamPolicy"),
    "roles/run.invoker": ("run.routes.invoke", "run.jobs.run"),
    "roles/secretmanager.admin": ("secretmanager.*",),
    "roles/secretmanager.secretAccessor": ("secretmanager.versions.access",),
    "roles/secretmanager.secretVersionAdder": ("secretmanager.versions.add",),
    "roles/secretmanager.secretVersionManager": (
        "secretmanager.versions.add",
        "secretmanager.versions.destroy",
        "secretmanager.versions.disable",
        "secretmanager.versions.enable",
        "secretmanager.versions.get",
        "secretmanager.versions.list",
    ),
    "roles/secretmanager.viewer": (
        "secretmanager.secrets.get",
        "secretmanager.secrets.list",
        "secretmanager.secrets.getIamPolicy",
        "secretmanager.versions.get",
        "secretmanager.versions.list",
        "secretmanager.locations.*",
    ),
    "roles/storage.admin": ("storage.*",),
    "roles/storage.objectAdmin": ("storage.objects.*", "storage.folders.*", "storage.managedFolders.*"),
    "roles/storage.objectUser": ("storage.objects.*",),
    "roles/storage.objectCreator": ("storage.objects.create",),
    "roles/storage.objectViewer": ("storage.objects.get", "storage.objects.list"),
    "roles/storage.legacyBucketOwner": (
        "storage.buckets.*",
        "storage.objects.list",
        "storage.objects.create",
        "storage.objects.delete",
    ),
    "roles/storage.legacyBucketReader": ("storage.buckets.get", "storage.objects.list"),
    "roles/storage.legacyBucketWriter": (
        "storage.buckets.get",
        "storage.objects.list",
        "storage.objects.create",
        "storage.objects.delete",
    ),
    "roles/storage.legacyObjectReader": ("storage.objects.get",),
    "roles/storage.legacyObjectOwner": (
        "storage.objects.get",
        "storage.objects.update",
        "storage.objects.getIamPolicy",
        "storage.objects.setIamPolicy",
    ),
    "roles/compute.admin": ("compute.*",),
    "roles/compute.viewer": ("compute.*.get", "compute.*.list", "compute.*.aggregatedList", "compute.*.getIamPolicy"),
    "roles/compute.networkAdmin": ("compute.*",),
    "roles/compute.loadBalancerAdmin": ("compute.*",),
    "roles/compute.networkViewer": ("compute.*.get", "compute.*.list"),
    "roles/cloudsql.admin": ("cloudsql.*",),
    "roles/cloudsql.editor": ("cloudsql.*.get", "cloudsql.*.list", "cloudsql.*.update", "cloudsql.instances.connect"),
    "roles/cloudsql.viewer": ("cloudsql.*.get", "cloudsql.*.list"),
    "roles/cloudsql.client": ("cloudsql.instances.connect", "cloudsql.instances.get"),
    "roles/redis.admin": ("redis.*",),
    "roles/redis.editor": ("redis.*.get", "redis.*.list", "redis.*.update"),
    "roles/redis.viewer": ("redis.*.get", "redis.*.list"),
    "roles/dataflow.admin": ("dataflow.*",),
    "roles/dataflow.developer": ("dataflow.*",),
    "roles/dataflow.viewer": ("dataflow.*.get", "dataflow.*.list"),
    "roles/dataflow.worker": ("dataflow.*.get", "dataflow.*.update"),
    "roles/logging.admin": ("logging.*",),
    "roles/logging.viewer": ("logging.*.get", "logging.*.list"),
    "roles/logging.logWriter": ("logging.logEntries.create", "logging.logEntries.route"),
    "roles/monitoring.admin": ("monitoring.*",),
    "roles/monitoring.editor": ("monitoring.*",),
    "roles/monitoring.viewer": ("monitoring.*.get", "monitoring.*.list"),
    "roles/monitoring.metricWriter": ("monitoring.timeSeries.create", "monitoring.metricDescriptors.*"),
    "roles/iam.serviceAccountAdmin": ("iam.serviceAccounts.*",),
    "roles/iam.serviceAccountUser": (
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
    ),
    "roles/iam.serviceAccountTokenCreator": (
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
        "iam.serviceAccounts.signBlob",
        "iam.serviceAccounts.signJwt",
        "iam.serviceAccounts.implicitDelegation",
    ),
    "roles/iam.serviceAccountKeyAdmin": ("iam.serviceAccountKeys.*",),
    "roles/iam.securityReviewer": ("*.getIamPolicy", "*.list"),
    "roles/resourcemanager.projectIamAdmin": (
        "resourcemanager.projects.get",
        "resourcemanager.projects.getIamPolicy",
        "resourcemanager.projects.setIamPolicy",
    ),
    "roles/serviceusage.serviceUsageAdmin": ("serviceusage.*",),
    "roles/serviceusage.serviceUsageConsumer": (
        "serviceusage.services.get",
        "serviceusage.services.list",
        "serviceusage.services.use",
    ),
}

# Roles that reach far but not into the data that has a role of its own.
EXCEPT: dict[str, tuple[str, ...]] = {
    "roles/editor": (
        "*.setIamPolicy",
        "cloudkms.cryptoKeyVersions.useTo*",
        "secretmanager.versions.access",
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
        "iam.serviceAccounts.sign*",
    ),
    "roles/viewer": (
        "cloudkms.cryptoKeyVersions.useTo*",
        "secretmanager.versions.access",
        "bigquery.tables.getData",
        "storage.objects.*",
    ),
    "roles/owner": (),
}


@lru_cache(maxsize=20_000)
def grants(role: str, permission: str) -> bool:
    """Does a predefined role hold this permission?"""
    patterns = ROLES.get(role, ())
    if not any(fnmatchcase(permission, pattern) for pattern in patterns):
        return False
    return not any(fnmatchcase(permission, pattern) for pattern in EXCEPT.get(role, ()))
