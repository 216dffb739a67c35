"""What jobs cost in device-hours and money, and times in the zone of whoever looks."""

from zoneinfo import ZoneInfo

from dashboard.models.cost import PRICE, device_hours, hours_words
from dashboard.models.wording import moment
from engine.jobs.events import JobFinished, JobStarted
from tests.store.test_store import journal_of, line, planned


def test_device_hours_are_those_of_the_last_attempts(store):
    planned(store)
    assert device_hours(store, "demo") == 0
    with journal_of(store, "demo-train") as journal:
        journal.write(line(JobStarted.kind, pid=1, host="here").replace(b'"t": 1.0', b'"t": 1000.0'))
        journal.write(line(JobFinished.kind).replace(b'"t": 1.0', b'"t": 4600.0'))
    store.ingest()
    assert device_hours(store, "demo") == 1.0


def test_money_is_told_where_a_price_is_set(monkeypatch):
    monkeypatch.delenv(PRICE, raising=False)
    assert hours_words(0.2512) == "0.25 device-hours"
    monkeypatch.setenv(PRICE, "2.50 EUR")
    assert hours_words(4.0) == "4 device-hours, 10.00 EUR"
    monkeypatch.setenv(PRICE, "cheap")
    assert "'cheap': give a number and a currency" in hours_words(4.0)


def test_a_moment_says_its_zone():
    assert moment(0.0) == "01 Jan 1970, 00:00 UTC"
    assert moment(0.0, ZoneInfo("Europe/Berlin")) == "01 Jan 1970, 01:00 CET"
    assert moment(1.7e9, ZoneInfo("Asia/Dubai")) == "15 Nov 2023, 02:13 UTC+04"
