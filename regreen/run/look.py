"""Looking at a tree: the survey, with the baseline and the decisions applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from regreen.apply import Repository
from regreen.decisions import Decisions, read_decisions
from regreen.facts.source import GitTree, Index, OverlayTree, Survey, survey
from regreen.model import Diagnosis, Finding
from regreen.policy import Policy
from regreen.run.options import Catalogue, Options
from regreen.suppress import read_baseline, set_aside


@dataclass(frozen=True, slots=True)
class Sight:
    """A tree and what the checks say about it: `raw` is everything, `diagnosis` has answered findings set aside."""

    tree: GitTree | OverlayTree
    survey: Survey
    diagnosis: Diagnosis

    @property
    def raw(self) -> Diagnosis:
        """The diagnosis before the baseline and the decisions."""
        return self.survey.diagnosis

    @property
    def index(self) -> Index:
        """The facts of the tree."""
        return self.survey.index


@dataclass(frozen=True, slots=True)
class Eye:
    """How this run looks at trees: always with the same checks, policy, baseline and decisions."""

    catalogue: Catalogue
    policy: Policy
    decisions: Decisions
    baseline: Mapping[str, str]
    repository: Repository
    options: Options

    @classmethod
    def of(cls, repository: Repository, commit: str, catalogue: Catalogue, options: Options) -> Eye:
        """The view that a target asks for in its own files, as a commit holds them.

        Raises PolicyError, DecisionsError, BaselineError.
        """
        tree = GitTree(repository.folder, repository.tree(commit))
        decisions = read_decisions(tree, options.today or date.today())
        return cls(catalogue, Policy.of(tree), decisions, read_baseline(tree), repository, options)

    def tree(self, commit: str) -> GitTree:
        """The target's tree in a commit, without what its policy excludes."""
        return GitTree(self.repository.folder, commit, self.policy.exclude, self.repository.prefix)

    def look(self, tree: GitTree | OverlayTree) -> Sight:
        """Judge a tree."""
        found = survey(tree, self.catalogue.checks, self.policy, self.options.cache, self.options.progress)
        return Sight(tree, found, set_aside(found.diagnosis, self.baseline, self.decisions))

    def curable(self, sight: Sight, check: str) -> tuple[Finding, ...]:
        """The findings of a check that a remedy may have: open ones, and product defects that a decision names.

        What a comment, the baseline or a decision to leave it sets aside stays as it is.
        """
        kept = {finding.fingerprint for finding in sight.diagnosis.verdict(check).findings}

        def may(finding: Finding) -> bool:
            if finding.fingerprint in kept:
                return True
            answer = self.decisions.on(finding)
            return answer is not None and not answer.leaves and finding.fingerprint not in self.baseline

        return tuple(finding for finding in sight.raw.verdict(check).findings if may(finding))
