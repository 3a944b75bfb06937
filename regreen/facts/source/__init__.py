"""Facts about source trees: one pass over every file, for all checks together."""

from __future__ import annotations

from regreen.facts.source.context import Context, Parents, Position, Scope, dotted, last_name
from regreen.facts.source.contract import CodeCheck, CodeRemedy, Interests
from regreen.facts.source.index import FileFacts, Index
from regreen.facts.source.survey import Survey, judge, survey
from regreen.facts.source.text import SourceText
from regreen.facts.source.trees import FolderTree, GitTree, MemoryTree, OverlayTree, Tree, blob_id

__all__ = [
    "CodeCheck",
    "CodeRemedy",
    "Context",
    "FileFacts",
    "FolderTree",
    "GitTree",
    "Index",
    "Interests",
    "MemoryTree",
    "OverlayTree",
    "Parents",
    "Position",
    "Scope",
    "SourceText",
    "Survey",
    "Tree",
    "blob_id",
    "dotted",
    "judge",
    "last_name",
    "survey",
]
