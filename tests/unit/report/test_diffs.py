"""Diffs, taken apart by file and by line."""

from __future__ import annotations

from regreen.report.diffs import DiffLine, split

DIFF = """\
diff --git a/a.py b/a.py
index 1..2 100644
--- a/a.py
+++ b/a.py
@@ -1,3 +1,3 @@
 same
--- a line that starts like a header
+++ and one more
\\ No newline at end of file
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-x\x0cdiff --git y
diff --git "a/q\\".py" "b/q\\".py"
new file mode 100644
--- /dev/null
+++ "b/q\\".py"
@@ -0,0 +1 @@
+x
diff --git a/m.sh b/m.sh
old mode 100644
new mode 100755
"""


def test_every_file_is_a_piece_with_its_counts() -> None:
    pieces = split(DIFF)

    assert [(p.title, p.added, p.removed) for p in pieces] == [
        ("a.py", 1, 1),
        ("gone.py", 0, 1),
        ('"q\\".py"', 1, 0),
        ("a/m.sh b/m.sh", 0, 0),
    ]
    assert "\n".join(piece.text for piece in pieces) + "\n" == DIFF


def test_a_line_is_what_it_is_by_its_place() -> None:
    assert split(DIFF)[0].lines == (
        DiffLine("head", "diff --git a/a.py b/a.py"),
        DiffLine("head", "index 1..2 100644"),
        DiffLine("head", "--- a/a.py"),
        DiffLine("head", "+++ b/a.py"),
        DiffLine("hunk", "@@ -1,3 +1,3 @@"),
        DiffLine("same", " same"),
        DiffLine("cut", "--- a line that starts like a header"),
        DiffLine("add", "+++ and one more"),
        DiffLine("same", "\\ No newline at end of file"),
    )


def test_lines_past_the_budget_are_counted_not_lost() -> None:
    pieces = split(DIFF, 11)

    assert [(len(p.lines), p.left_out) for p in pieces] == [(9, 0), (2, 4), (0, 6), (0, 3)]
    assert pieces[1].removed == 1


def test_no_diff_has_no_files() -> None:
    assert split("") == split("\n") == ()
