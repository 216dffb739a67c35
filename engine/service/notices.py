"""What people are told when a study ends or fails: raised once by the owner, shown by pages, sent to a webhook. What is
decided and who is mentioned in a review goes there too (engine/review/acts.py).

A notice is a line in the owner's journal, and so is its delivery: a restart tells nobody twice. Its id follows from
what it is about, so `raise_due` may be called as often as one likes.
"""

import hashlib
import html
import json
import logging
import os
import threading
import time
import urllib.error
import urllib.request

from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person, need
from engine.jobs.decisions import NoticeRaised, NoticeTold
from store import corpora, notices, studies
from store.database import Store

WAITS = (1.0, 5.0, 25.0, 125.0, 600.0)  # seconds between tries
SEND_SECONDS = 10.0
OLD_SECONDS = 24 * 3600.0  # a webhook that is set later is not told of last year's studies

log = logging.getLogger("mixdesk.notices")


def raise_due(store: Store) -> None:
    """Record a notice for every study that has come to its end, or cannot go on, since the last look."""
    need("operator", "raise notices")
    known = notices.known_ids(store)
    found = {study.id: study for study in studies.all_studies(store)}
    due = [over(found[rest.study], rest) for rest in notices.at_rest(store)]
    due += [stopped(study, why) for study in found.values() if (why := why_stopped(store, study))]
    for notice_id, study, outcome, text in due:
        if notice_id not in known:
            store.write(NoticeRaised(notice_id, study, outcome, text))


def over(study: studies.Study, rest: notices.Rest) -> tuple[str, str, str, str]:
    """(id, study, outcome, text) for a study of which nothing runs or waits any more."""
    runs = f"{study.done} of {study.runs} runs done"
    for state in ("diverged", "refused"):
        if count := study.counts.get(state):
            runs += f", {count} {state} and left out"
    if rest.failures:
        first = rest.failures[0] or "see the page Jobs"
        text = f"Study {study.name} needs you: {len(rest.failures)} of its jobs failed ({runs}). The first: {first}"
        return f"{study.id}-failed-{rest.ended_at:.3f}", study.id, "failed", text
    what = f"has a new fit, and awaits {study.open} more runs" if study.open else "has finished"
    return f"{study.id}-finished-{rest.ended_at:.3f}", study.id, "finished", f"Study {study.name} {what}: {runs}."


def why_stopped(store: Store, study: studies.Study) -> str | None:
    """Why a study cannot even begin; None where it can."""
    if study.state == "failed":
        return study.message or "it cannot go on"
    if study.state == "active" and not study.coordinates:
        job = corpora.job(store, study.spec["corpus"])
        if job is not None and job.state == "failed" and corpora.manifest(store, study.spec["corpus"]) is None:
            return f"its corpus could not be built: {job.message}"
    return None


def stopped(study: studies.Study, why: str) -> tuple[str, str, str, str]:
    digest = hashlib.sha256(why.encode()).hexdigest()[:12]
    return f"{study.id}-stopped-{digest}", study.id, "failed", f"Study {study.name} cannot go on: {why}"


class Webhook:
    """Sends notices to $MIXDESK_WEBHOOK as Slack does it ({"text": ...}), on a thread of its own, with retries."""

    def __init__(self, store: Store, url: str):
        """Raises Problem for what is not an address."""
        if not url.startswith(("https://", "http://")):
            raise Problem(f"Cannot send notices to {url!r}: MIXDESK_WEBHOOK must begin with https:// or http://.")
        self.store, self.url = store, url
        self.failures: dict[str, int] = {}  # notice -> tries that failed
        self.again: dict[str, float] = {}  # notice -> when to try again (monotonic)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        version = None
        while not self._stop.wait(1.0):
            if self.store.version == version and not self.again:
                continue
            version = self.store.version
            try:
                with as_person(SYSTEM):
                    self.send_due()
            except Exception:  # a full disk: the notice stays due
                log.exception("sending notices failed; trying again")

    def send_due(self) -> None:
        """Send what has not been told, unless it waits for its next try."""
        for notice in notices.since(self.store, time.time() - OLD_SECONDS):
            if notice.told_at is None and time.monotonic() >= self.again.get(notice.id, 0.0):
                self.send(notice)

    def send(self, notice: notices.Notice) -> None:
        """One try; its success, or giving it up, is recorded in the owner's journal."""
        # escaped as Slack wants it: a study's name makes no link and mentions nobody
        trouble = post(self.url, {"text": html.escape(notice.text, quote=False)})
        tries = self.failures.get(notice.id, 0) + (trouble is not None)
        if trouble is not None and tries <= len(WAITS):
            self.failures[notice.id], self.again[notice.id] = tries, time.monotonic() + WAITS[tries - 1]
            return
        self.store.write(NoticeTold(notice.id, trouble))
        self.failures.pop(notice.id, None), self.again.pop(notice.id, None)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=SEND_SECONDS + 1)


def post(url: str, message: dict) -> str | None:
    """Send a message; returns what went wrong in words, or None."""
    request = urllib.request.Request(url, json.dumps(message).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SEND_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        return f"the webhook answered {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return f"the webhook cannot be reached: {error}"


def webhook_of(store: Store) -> Webhook | None:
    """The webhook that the environment names, or None."""
    url = os.environ.get("MIXDESK_WEBHOOK", "").strip()
    return Webhook(store, url) if url else None
