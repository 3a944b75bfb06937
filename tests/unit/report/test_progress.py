"""Progress shows on a terminal, after a moment, and nowhere else."""

from __future__ import annotations

import io
import threading

from regreen.progress import Silent, Terminal, progress


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_file_or_a_pipe_stays_empty() -> None:
    stream, clock = io.StringIO(), Clock()

    with progress(stream, clock) as shown:
        clock.now += 60
        shown.step("reading", 1, 2)

    assert stream.getvalue() == ""
    assert isinstance(shown, Silent)


def test_quick_work_stays_silent() -> None:
    stream, clock = Screen(), Clock()

    with progress(stream, clock) as shown:
        clock.now += 0.9
        shown.step("reading", 2, 2)

    assert stream.getvalue() == ""


def test_long_work_shows_and_leaves_no_trace() -> None:
    stream, clock = Screen(), Clock()
    threads = threading.active_count()

    with progress(stream, clock) as shown:
        clock.now += 1.5
        shown.step("reading [bold]sources", 700, 1400)
        assert isinstance(shown, Terminal)
        assert threading.active_count() == threads
        assert "reading [bold]sources" in stream.getvalue()
        assert "700/1400" in stream.getvalue()

    assert stream.getvalue().endswith("\x1b[2K")  # the bar's line is erased


def test_a_burst_of_steps_is_drawn_once_but_the_last_one_is() -> None:
    stream, clock = Screen(), Clock()

    with progress(stream, clock) as shown:
        clock.now += 2
        for done in range(1, 1401):
            shown.step("reading", done, 1400)
        text = stream.getvalue()

    assert "1/1400" in text
    assert "1400/1400" in text
    assert "700/1400" not in text


def test_an_unknown_total_is_shown_as_such() -> None:
    stream, clock = Screen(), Clock()

    with progress(stream, clock) as shown:
        clock.now += 2
        shown.step("asking", 7, 0)

        assert "7/?" in stream.getvalue()
