"""A run as JUnit XML, the form in which build servers show tests.

One suite holds the phase's gate, a case for each of its conditions; a second holds the target's own tests,
where they were executed. There is no standard; this keeps to what Jenkins, GitLab and GitHub's actions read.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from regreen.facts.testrun.results import Outcome, TestResult, TestRun
from regreen.model import Finding
from regreen.report.view import View, count, sentence
from regreen.report.visible import shown
from regreen.run.record import GateItem, GateState, RunRecord

#: Findings spelled out in one failure; the other formats have them all.
_SPELLED = 50


def junit(views: Iterable[View]) -> bytes:
    """The document of one run or several."""
    root = ET.Element("testsuites", name="regreen")
    for view in views:
        record = view.record
        root.append(_gate(record))
        if record.tests is not None:
            root.append(_tests(record, record.tests.after))
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root, " ")
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(name: str, record: RunRecord, seconds: float, cases: list[ET.Element]) -> ET.Element:
    suite = ET.Element(
        "testsuite",
        name=shown(name),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        time=f"{seconds:.3f}",
        # Jenkins' schema wants a local time without a zone
        timestamp=shown(record.started)[:19],
    )
    suite.extend(cases)
    return suite


def _case(suite: str, name: str, seconds: float = 0.0) -> ET.Element:
    return ET.Element("testcase", classname=shown(suite), name=shown(name), time=f"{seconds:.3f}")


def _outcome(case: ET.Element, tag: str, message: str, kind: str = "", body: str = "") -> None:
    outcome = ET.SubElement(case, tag, message=shown(message))
    if kind:
        outcome.set("type", shown(kind))
    outcome.text = body or None


def _gate(record: RunRecord) -> ET.Element:
    name = f"{record.target}: phase {record.phase.number} gate"
    cases = [_condition(name, item, record) for item in record.gate.items]
    return _suite(name, record, record.usage.seconds, cases)


def _condition(suite: str, item: GateItem, record: RunRecord) -> ET.Element:
    case = _case(suite, item.name)
    text = item.text or f"{item.state.value.lower()}: {count(item.open, 'open question')}"
    if item.state is GateState.FAIL:
        _outcome(case, "failure", text, item.state.value, _listed(item.name, record.remaining))
    elif item.state is GateState.UNKNOWN:
        # Not "skipped": build servers paint that green, and not knowing opens no gate.
        _outcome(case, "error", text, item.state.value)
    elif item.state is GateState.NOT_BUILT:
        _outcome(case, "skipped", text)
    elif item.text:
        ET.SubElement(case, "system-out").text = shown(item.text)
    return case


def _listed(check: str, findings: Iterable[Finding]) -> str:
    lines = [
        shown(f"{finding.where}: {sentence(finding.observed)} Expected: {finding.expected}")
        for finding in findings
        if finding.check == check
    ]
    if len(lines) > _SPELLED:
        lines[_SPELLED:] = [f"… and {len(lines) - _SPELLED:,} more"]
    return "\n".join(lines)


def _tests(record: RunRecord, run: TestRun) -> ET.Element:
    name = f"{record.target}: tests after phase {record.phase.number}"
    unmasked = {result.test for result in record.tests.unmasked} if record.tests is not None else set()
    cases = [_test(result, unmasked) for result in (*run.collection_errors, *run.results)]
    if run.problem:
        case = _case(name, "test run")
        _outcome(case, "error", run.problem, "UNKNOWN")
        cases.append(case)
    return _suite(name, record, run.seconds, cases)


def _test(result: TestResult, unmasked: set[str]) -> ET.Element:
    module, _, inside = result.test.partition("::")
    head, bracket, parameters = inside.partition("[")  # which may hold "::" as well
    *scope, test = head.split("::")
    dotted = ".".join((module.removesuffix(".py").replace("/", "."), *scope))
    test += bracket + parameters
    case = _case(dotted, test or "collection", result.seconds)
    message = result.error or result.outcome.value
    kind = "unmasked" if result.test in unmasked else str(result.category or result.outcome)
    if result.outcome is Outcome.FAILED:
        _outcome(case, "failure", message, kind)
    elif result.outcome is Outcome.ERROR:
        _outcome(case, "error", message, kind)
    elif result.outcome in (Outcome.SKIPPED, Outcome.XFAILED, Outcome.COLLECTED):
        _outcome(case, "skipped", "collected, not run" if result.outcome is Outcome.COLLECTED else message)
    return case
