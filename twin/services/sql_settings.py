"""What a Cloud SQL instance is like when nobody says otherwise: versions, settings, first users and databases.

Defaults are those that recordings of the real API show; they differ by engine and by edition.
https://cloud.google.com/sql/docs/mysql/instance-settings
"""

from __future__ import annotations

from twin.kernel.errors import invalid
from twin.kernel.types import Body

_INSTALLED = {
    "MYSQL_5_7": "MYSQL_5_7_44", "MYSQL_8_0": "MYSQL_8_0_41", "MYSQL_8_4": "MYSQL_8_4_7",
    "POSTGRES_13": "POSTGRES_13_23", "POSTGRES_14": "POSTGRES_14_20", "POSTGRES_15": "POSTGRES_15_7",
    "POSTGRES_16": "POSTGRES_16_3", "POSTGRES_17": "POSTGRES_17_7", "SQLSERVER_2019_EXPRESS": "SQLSERVER_2019_EXPRESS_CU26",
}  # fmt: skip
_MAINTENANCE = {
    "MYSQL_5_7": "R20231105.01_03",
    "MYSQL_8_0": "R20251004.01_07",
    "POSTGRES_15": "R20240514.00_12",
    "POSTGRES_16": "R20240527.01_10",
    "SQLSERVER_2019_EXPRESS": "R20240501.00_05",
}
_LATER = {
    "POSTGRES_13": ("POSTGRES_14", "POSTGRES_15", "POSTGRES_16"),
    "POSTGRES_14": ("POSTGRES_15", "POSTGRES_16"),
    "POSTGRES_15": ("POSTGRES_16",),
}
_MINORS_8_0 = ("18", "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", "36", "37")
_NEWER_8_0 = ("39", "40", "42", "43")
_SERVERS = ("STANDARD", "ENTERPRISE", "EXPRESS", "WEB")


def engine_of(body: Body) -> str:
    """`MYSQL`, `POSTGRES` or `SQLSERVER`."""
    return str(body["databaseVersion"]).partition("_")[0]


def describe_versions(body: Body) -> None:
    """Which minor version runs, and to which versions it can be taken."""
    version = body["databaseVersion"]
    installed = _INSTALLED.get(version, version)
    body["databaseInstalledVersion"] = installed
    body["maintenanceVersion"] = f"{installed}.{_MAINTENANCE.get(version, 'R20251004.01_24')}"
    later = _upgrades(version)
    if later:
        body["upgradableDatabaseVersions"] = later


def _upgrades(version: str) -> list[Body]:
    if version in _LATER:
        return [_upgrade(name, f"PostgreSQL {name.rpartition('_')[2]}", name) for name in _LATER[version]]
    if version in ("MYSQL_5_7", "MYSQL_8_0"):
        minors = _MINORS_8_0 if version == "MYSQL_5_7" else _MINORS_8_0 + _NEWER_8_0
        found = [_upgrade(f"MYSQL_8_0_{minor}", f"MySQL 8.0.{minor}", "MYSQL_8_0") for minor in minors]
        if version == "MYSQL_5_7":
            return [_upgrade("MYSQL_8_0", "MySQL 8.0", "MYSQL_8_0"), *found]
        return [*found, _upgrade("MYSQL_8_4", "MySQL 8.4", "MYSQL_8_4")]
    if version.startswith("SQLSERVER_2019_"):
        edition = version.rpartition("_")[2]
        names = [f"SQLSERVER_2019_{word}" for word in _SERVERS if word != edition]
        names += [f"SQLSERVER_2022_{word}" for word in _SERVERS]
        return [_upgrade(name, "SQL Server {1} {2}".format(*name.title().split("_")), name) for name in names]
    return []


def _upgrade(name: str, shown: str, major: str) -> Body:
    return {"displayName": shown, "majorVersion": major, "name": name}


def first_users(body: Body) -> list[Body]:
    engine = engine_of(body)
    if engine == "POSTGRES":
        return [{"name": "postgres", "host": ""}]
    if engine == "MYSQL":
        return [{"name": "root", "host": "%"}]
    shut = [
        {"name": f"##MS_Policy{word}Login##", "host": "", "sqlserverUserDetails": {"disabled": True}}
        for word in ("EventProcessing", "TsqlExecution")
    ]
    return [*shut, {"name": "sqlserver", "host": "", "sqlserverUserDetails": {"serverRoles": ["CustomerDbRootRole"]}}]


def first_databases(body: Body) -> tuple[tuple[str, ...], str]:
    """Names, and the character set of all of them."""
    engine = engine_of(body)
    if engine == "POSTGRES":
        return ("postgres",), "UTF8"
    if engine == "MYSQL":
        return ("mysql", "information_schema", "performance_schema", "sys"), "utf8mb3"
    return ("master", "model", "msdb", "tempdb"), ""


def show_features(body: Body) -> None:
    """Which Gemini features an answer names, and what only SQL Server says (recorded)."""
    engine = engine_of(body)
    names = ("entitled", "activeQueryEnabled", "indexAdvisorEnabled")
    if engine == "POSTGRES":
        body["geminiConfig"] = dict.fromkeys((*names, "googleVacuumMgmtEnabled", "oomSessionCancelEnabled"), False)
    elif engine == "MYSQL":
        body["geminiConfig"] = {**dict.fromkeys(names, False), "flagRecommenderEnabled": True}
    else:
        body.setdefault("includeReplicasForMajorVersionUpgrade", False)
        body["settings"].setdefault("replicationLagMaxSeconds", 31_536_000)
        network = body["settings"]["ipConfiguration"]
        network.setdefault("serverCertificateRotationMode", "SERVER_CERTIFICATE_ROTATION_MODE_UNSPECIFIED")


def show_addresses(body: Body) -> None:
    """A public address, a private one in the network that the settings name, and where PostgreSQL calls out from."""
    network = body["settings"]["ipConfiguration"]
    found = []
    if network.get("ipv4Enabled"):
        found.append({"type": "PRIMARY", "ipAddress": "203.0.113.10"})
        if engine_of(body) == "POSTGRES":
            found.append({"type": "OUTGOING", "ipAddress": "203.0.113.11"})
    if network.get("privateNetwork"):
        found.append({"type": "PRIVATE", "ipAddress": "10.107.0.3"})
    body["ipAddresses"] = found


def fill_settings(body: Body, settings: Body) -> None:
    """Defaults of settings that were not given. ApiError for a machine that the edition does not have."""
    settings["kind"] = "sql#settings"
    plus = "ENTERPRISE_PLUS" if body["databaseVersion"] == "MYSQL_8_4" else "ENTERPRISE"
    edition = settings.setdefault("edition", plus)
    tier = str(settings.get("tier", ""))
    if edition == "ENTERPRISE" and tier.startswith(("db-perf-optimized", "db-c4a")):
        raise invalid(f"Invalid request: Invalid Tier ({tier}) for (ENTERPRISE) Edition.")
    settings.setdefault("activationPolicy", "ALWAYS")
    settings.setdefault("availabilityType", "ZONAL")
    settings.setdefault("pricingPlan", "PER_USE")
    settings.setdefault("replicationType", "SYNCHRONOUS")
    settings.setdefault("dataDiskType", "PD_SSD")
    settings.setdefault("dataDiskSizeGb", "20" if edition == "ENTERPRISE_PLUS" and engine_of(body) == "MYSQL" else "10")
    settings.setdefault("storageAutoResize", True)
    settings.setdefault("storageAutoResizeLimit", "0")
    settings.setdefault("connectorEnforcement", "NOT_REQUIRED")
    settings.setdefault("deletionProtectionEnabled", False)
    settings.setdefault("authorizedGaeApplications", [])
    network = settings.setdefault("ipConfiguration", {})
    network.setdefault("ipv4Enabled", True)
    network.setdefault("authorizedNetworks", [])
    network.setdefault("requireSsl", network.get("sslMode") == "TRUSTED_CLIENT_CERTIFICATE_REQUIRED")
    network.setdefault("sslMode", "ALLOW_UNENCRYPTED_AND_ENCRYPTED")
    _fill_backup(body, settings, edition)
    settings.setdefault("locationPreference", {"kind": "sql#locationPreference", "zone": body["gceZone"]})
    settings["locationPreference"].setdefault("kind", "sql#locationPreference")
    for field, names in (
        ("insightsConfig", ("queryInsightsEnabled", "recordApplicationTags", "recordClientAddress")),
        ("dataCacheConfig", ("dataCacheEnabled",)),
    ):
        if field in settings:
            # What is off is not shown (recorded).
            shown = {key: value for key, value in settings[field].items() if value is not False or key not in names}
            settings[field] = shown
            if not shown and field == "dataCacheConfig":
                del settings[field]


def _fill_backup(body: Body, settings: Body, edition: str) -> None:
    backup = settings.setdefault("backupConfiguration", {})
    engine, plus = engine_of(body), edition == "ENTERPRISE_PLUS"
    backup["kind"] = "sql#backupConfiguration"
    if plus and engine == "MYSQL":
        backup.setdefault("enabled", True)
        backup.setdefault("binaryLogEnabled", True)
    backup.setdefault("enabled", False)
    backup.setdefault("startTime", "12:00")
    backup.setdefault("transactionLogRetentionDays", 14 if plus else 7)
    backup.setdefault("backupRetentionSettings", {"retentionUnit": "COUNT", "retainedBackups": 15 if plus else 7})
    if engine == "MYSQL":
        backup.pop("pointInTimeRecoveryEnabled", None)
    else:
        backup.pop("binaryLogEnabled", None)
    if engine == "POSTGRES" and "pointInTimeRecoveryEnabled" in backup:
        backup.setdefault("replicationLogArchivingEnabled", False)
    kept = engine == "MYSQL" and backup.get("binaryLogEnabled")
    backup["transactionalLogStorageState"] = "CLOUD_STORAGE" if kept else "TRANSACTIONAL_LOG_STORAGE_STATE_UNSPECIFIED"
    if plus or engine == "SQLSERVER" or body["databaseVersion"] in ("MYSQL_8_0", "MYSQL_8_4"):
        backup.setdefault("backupTier", "STANDARD")
