"""Reads all domains into parts, in this process or in two, and can be stopped and resumed at any domain.

A reader process only reads and writes its part's folder. It reports through a pipe: when its parent is gone,
the pipe breaks and so does the reader, so no kill leaves an orphan.
"""

import multiprocessing
import shutil
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.corpus.parts import forget_changed, is_finished, write_part
from engine.corpus.spec import CorpusSpec
from engine.corpus.texts import Source, cap_of, paths_of, sources_of

REPORT_BYTES = 100_000  # a reader reports each time it has read so much more
NAMED = 5  # of the domains that cannot be read, so many stand in a message with their reasons
POLL_SECONDS = 0.2  # how often a parent that hears nothing looks whether it should stop

Report = Callable[[str, int], None]  # (domain, bytes of text so far)


def gather(spec: CorpusSpec, domains: list[str], folder: Path, processes: int, report: Report) -> None:
    """Make a finished part of every domain in `folder`/<domain>; those that are finished stay as they are, unless
    their files are others now.

    `report` may raise (Stopped): the readers end, and what is finished stays for the next attempt. Raises Problem that
    names every domain that cannot be read.
    """
    for domain, files in paths_of(spec, domains).items():
        forget_changed(folder / domain, files)
    waiting = [domain for domain in domains if not is_finished(folder / domain)]
    try:
        if len(waiting) > 1 and processes > 1:
            Readers(spec, folder, waiting, report).run(processes)
            return
        sources, faults = sources_of(spec), {}
        for domain in waiting:
            tell = partial(report, domain)
            try:
                read_domain(sources[domain], folder / domain, cap_of(spec, domain), tell)
            except Problem as problem:
                faults[domain] = str(problem)
        refuse(faults, spec)
    finally:
        for domain in waiting:  # a part that is not finished is read again: on a full disk its room is needed
            if not is_finished(folder / domain):
                shutil.rmtree(folder / domain, ignore_errors=True)


def refuse(faults: dict[str, str], spec: CorpusSpec) -> None:
    """Raise Problem for domains {name: why} that cannot be used, with what can be done about them."""
    if not faults:
        return
    others = list(faults)[NAMED:]
    sentences = [*list(faults.values())[:NAMED], *([f"Nor can {listed(others)} be used."] if others else [])]
    cure = "Fix that, or leave out these domains."
    if spec.source["type"] == "folder":
        cure = f"Fix that, or name what may stay out (without: {', '.join(faults)})."
    raise Problem(f"{' '.join(sentences)} {cure}")


def read_domain(source, folder: Path, cap: int, progress: Callable[[int], None]) -> None:
    """Read one domain into its part."""
    documents, tally = source()
    write_part(folder, documents, tally, cap, progress)


class Readers:
    """Reader processes and what they report."""

    def __init__(self, spec: CorpusSpec, folder: Path, waiting: list[str], report: Report):
        self.spec, self.folder, self.waiting, self.report = spec, folder, list(waiting), report
        self.sources = sources_of(spec)  # once: where records say their domain, that is a pass over all files
        self.running: dict[Connection, tuple[str, multiprocessing.Process]] = {}
        self.sizes = dict.fromkeys(waiting, 0)
        self.faults: dict[str, str] = {}  # domain -> why it cannot be read

    def run(self, processes: int) -> None:
        """Read all that waits, so many domains at a time."""
        try:
            while self.waiting or self.running:
                while self.waiting and len(self.running) < processes:
                    self.start(self.waiting.pop(0))
                for pipe in wait(list(self.running), POLL_SECONDS):
                    self.receive(pipe)
                for domain, _ in self.running.values():
                    self.report(domain, self.sizes[domain])
            refuse(self.faults, self.spec)
        finally:
            for _, process in self.running.values():
                process.terminate()
            for _, process in self.running.values():
                process.join()

    def start(self, domain: str) -> None:
        """Start a reader. It is spawned, not forked: a fork of a process with threads may hang."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        arguments = (self.sources[domain], cap_of(self.spec, domain), self.folder / domain, theirs)
        process = context.Process(target=reader, args=arguments, daemon=True)
        process.start()
        theirs.close()
        self.running[ours] = (domain, process)

    def receive(self, pipe: Connection) -> None:
        """Take one report: a size, a problem in words, what the system refused (it is raised here), or the end."""
        domain, process = self.running[pipe]
        try:
            message = pipe.recv()
        except EOFError:
            del self.running[pipe]
            process.join()
            if domain not in self.faults and not is_finished(self.folder / domain):
                self.report(domain, self.sizes[domain])  # told to stop as well? then that is why
                raise Problem(
                    f"Cannot read the domain {domain!r}: its reader ended with code {process.exitcode}. "
                    "The machine may be out of memory; the job's log may say more. Retry, or lower cap_mb."
                ) from None
            return
        if isinstance(message, OSError):
            raise message
        if isinstance(message, str):
            self.faults[domain] = message
        else:
            self.sizes[domain] = message


def reader(source: Source, cap: int, folder: Path, pipe: Connection) -> None:
    """The whole life of a reader process."""
    reported = 0

    def progress(size: int) -> None:
        nonlocal reported
        if size - reported >= REPORT_BYTES:
            pipe.send(size)
            reported = size

    try:
        read_domain(source, folder, cap, progress)
    except Problem as problem:
        pipe.send(str(problem))
    except BrokenPipeError:
        pass  # the parent is gone
    except OSError as error:
        pipe.send(error)
