from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import pytest

from nodes.media.video.frame_clock import FrameClock, FramePacer, find_clock, played_rate
from nodes.media.video.timeline import Timeline

MS = Fraction(1, 1000)
NTSC = Fraction(30000, 1001)


def timeline(ticks: Iterable[int], base: Fraction = MS, last: int | None = None) -> Timeline:
    """Return the timeline of frames at these ticks. The last one is shown for `last` ticks, else as the one before."""
    shown = sorted(ticks)
    last = last if last is not None else shown[-1] - shown[-2]
    return Timeline(base, shown, [], (shown[-1] + last) * base, len(shown), complete=True, counted=False)


def rounded(rate: float | Fraction, count: int) -> list[int]:
    """Return the times of a constant rate as Matroska has them, in ms."""
    return [round(index * 1000 / rate) for index in range(count)]


def paced(clock: FrameClock) -> list[int]:
    """Return which frame each slot of the whole file shows."""
    pacer = FramePacer(clock, 0, clock.count)
    shown = []
    for index in range(len(clock.timeline.ticks)):
        shown += [int(frame) for frame, _ in pacer.add(index, clock.timeline.time(index))]  # type: ignore[arg-type]
    return shown + [int(frame) for frame, _ in pacer.finish(fill=False)]  # type: ignore[call-overload]


CONSTANT = {
    "30 in ms": (timeline(rounded(30, 200)), [Fraction(30)], 30),
    "30 in ms, nothing declared": (timeline(rounded(30, 200), last=33), [], 30),
    "NTSC in ms": (timeline(rounded(NTSC, 4000), last=33), [NTSC], NTSC),
    "NTSC in ms that says 30": (timeline(rounded(NTSC, 4000), last=33), [Fraction(30)], NTSC),
    "960 in ms": (timeline(rounded(960, 50), last=1), [Fraction(960)], 960),
    "cut: the last frame is shorter": (
        timeline(range(180900, 540900, 3600), Fraction(1, 90000), last=2700),
        [Fraction(10000, 399), Fraction(25)],
        25,
    ),
    "last frame of no length": (timeline(range(0, 1000, 200), last=1), [Fraction(5)], 5),
    "uneven by 8 ms": (
        timeline([index * 33 + 8 * (index % 2) for index in range(101)], last=33),
        [],
        Fraction(1000, 33),
    ),
    "one frame of 20 s": (timeline([0], last=20000), [Fraction(1, 20)], Fraction(1, 20)),
    "one frame that says 60000": (timeline([0], Fraction(1, 60000), last=2400), [Fraction(25)], 25),
    "slides of 20 s": (timeline([0, 20000, 40000, 60000]), [Fraction(1, 20)], Fraction(1, 20)),
    "slides of 20 s that say 30": (timeline([0, 20000, 40000, 60000]), [Fraction(30)], Fraction(1, 20)),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_find_clock_of_a_constant_rate_gives_each_frame_a_slot(name: str) -> None:
    times, declared, rate = CONSTANT[name]

    clock = find_clock(times, declared)

    assert (clock.rate, clock.constant, clock.notes) == (rate, True, ())
    assert paced(clock) == list(range(len(times.ticks)))


VARIABLE = {
    "a frame of 59 lost": ([at for at in rounded(30, 60) if at != 1000], [Fraction(59, 2), Fraction(30)], 30),
    "a frame of 120 lost": ([at for at in rounded(30, 120) if at != 2000], [Fraction(119, 4), Fraction(30)], 30),
    "a frame of 120 lost, a long average": ([at for at in rounded(30, 120) if at != 2000], [Fraction(119, 4)], 30),
    "a browser: gaps at 30": (rounded(30, 60) + [t + 3000 for t in rounded(30, 60)], [Fraction(30)], 30),
    "most at 30, some at 10": (rounded(30, 60) + [2000 + t for t in rounded(10, 20)], [Fraction(24)], 30),
    "most at 15 though it says 30": (rounded(30, 60) + [2000 + t for t in rounded(15, 100)], [Fraction(30)], 15),
    "most at 24000/1001": (
        rounded(Fraction(24000, 1001), 200) + [9000 + t for t in rounded(10, 20)],
        [],
        Fraction(24000, 1001),
    ),
    "two rates in turn": ([at + step for at in range(0, 4800, 240) for step in (0, 40)], [Fraction(8)], 25),
    "slides": ([0, 3000, 7000, 9000, 15000], [Fraction(30)], 10),
    "slides, the last one short": ([0, 20000, 40000], [Fraction(30)], 10),
    "3 a second": ([0, 333, 667, 1000, 5000, 5333, 5667], [], 12),
    "bursts of frames 1 ms apart": (
        [at + step for at in range(0, 4000, 100) for step in (0, 1, 2, 3)],
        [Fraction(1000)],
        40,
    ),
}


@pytest.mark.parametrize("name", VARIABLE)
def test_find_clock_of_a_variable_rate_takes_that_of_most_frames_and_says_so(name: str) -> None:
    ticks, declared, rate = VARIABLE[name]
    times = timeline(ticks, last=33)

    clock = find_clock(times, declared)

    assert float(clock.rate) == pytest.approx(float(rate), rel=0.03)
    assert not clock.constant
    assert len(clock.notes) == 1
    assert abs(clock.count / clock.rate - (times.end - times.start)) <= 1 / clock.rate
    slots = [int(tick / 1000 * clock.rate + Fraction(1, 2)) for tick in ticks]
    assert paced(clock) == [
        max(index for index, first in enumerate(slots) if first <= slot) for slot in range(clock.count)
    ]


def test_find_clock_of_an_avi_whose_second_frame_is_missing_keeps_its_rate() -> None:
    """FFmpeg writes such files, with MP3 beside the video. Their ticks count frames."""
    clock = find_clock(timeline([0, *range(2, 97)], 1 / NTSC), [NTSC * Fraction(96, 97), NTSC])

    assert (clock.rate, clock.count, clock.constant) == (NTSC, 97, False)
    assert paced(clock)[:4] == [0, 0, 1, 2]


@pytest.mark.parametrize("base", [Fraction(1, 90000), Fraction(1, 60000), MS], ids=str)
def test_find_clock_shows_every_frame_if_the_times_make_no_sense(base: Fraction) -> None:
    clock = find_clock(timeline(range(100), base), [])

    assert (clock.rate, clock.count, clock.constant) == (30, 100, True)
    assert "no usable times" in clock.notes[0]


def test_frame_in_a_slot_is_what_the_pacer_puts_there() -> None:
    clock = find_clock(timeline([0, 40, 140, 173, 373, 413, 900, 1000]), [])

    shown = paced(clock)

    assert [clock.frame_in(slot) for slot in range(clock.count)] == [clock.timeline.time(index) for index in shown]
    assert [clock.index_from(clock.time(slot)) for slot in range(clock.count)] == list(range(clock.count))


def test_frame_pacer_fills_the_slots_of_a_lost_frame_with_the_one_before() -> None:
    clock = find_clock(timeline(rounded(10, 10)), [])
    pacer = FramePacer(clock, 2, 9)
    shown = []
    for index in (3, 4, 7):
        shown += [frame for frame, _ in pacer.add(index, clock.time(index))]  # type: ignore[arg-type]

    assert shown == [3, 3, 4, 4, 4, 7]
    assert [frame for frame, _ in pacer.finish(fill=True)] == [7]


@pytest.mark.parametrize(
    ("rate", "played"),
    [
        (Fraction(1, 20), 10),
        (Fraction(1, 3), 10),
        (1, 1),
        (NTSC, NTSC),
        (120, 120),
        (144, 72),
        (240, 120),
        (960, 120),
    ],
)
def test_played_rate_is_a_multiple_or_a_fraction_that_players_take(rate: Fraction, played: Fraction) -> None:
    found, notes = played_rate(Fraction(rate))

    assert found == played
    assert bool(notes) == (rate != played)
