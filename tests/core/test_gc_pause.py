"""The collector rests while much is imported, and is as before afterwards, whatever happened inside."""

import gc

import pytest

from weitiao.core.gc_pause import paused, stays


@pytest.fixture(autouse=True)
def _as_before():
    was = gc.isenabled()
    yield
    (gc.enable if was else gc.disable)()


def test_nothing_is_collected_inside_and_it_goes_on_afterwards():
    gc.enable()
    before = [one["collections"] for one in gc.get_stats()]
    with paused():
        assert not gc.isenabled()
        kept = [[] for _ in range(10 * gc.get_threshold()[0])]  # more than enough for several collections
        assert [one["collections"] for one in gc.get_stats()] == before
    assert gc.isenabled()
    assert kept


def test_a_caller_who_turned_it_off_finds_it_off():
    gc.disable()
    with paused():
        pass
    assert not gc.isenabled()


def test_one_inside_another_ends_with_the_outer_one():
    gc.enable()
    with paused():
        with paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_inside_does_not_leave_it_off():
    gc.enable()
    with pytest.raises(ImportError), paused():
        raise ImportError("no torch")
    assert gc.isenabled()


def test_what_stays_is_looked_through_no_more_and_is_again_afterwards():
    with stays():
        assert gc.get_freeze_count() > 1000
        ring: list = []
        ring.append(ring)
        del ring
        assert gc.collect() >= 1, "what comes later is collected as ever"
    assert gc.get_freeze_count() == 0
