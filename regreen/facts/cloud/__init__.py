"""Read-only facts of a Google Cloud project: collected once into a snapshot, judged often, also offline."""

from regreen.facts.cloud.collect import collect
from regreen.facts.cloud.contract import CloudCheck, CloudRemedy
from regreen.facts.cloud.snapshot import Collection, Measurement, Snapshot
from regreen.facts.cloud.stack import StackFile

__all__ = ["CloudCheck", "CloudRemedy", "Collection", "Measurement", "Snapshot", "StackFile", "collect"]
