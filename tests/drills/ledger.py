"""The ledger of a drill, outside of the system: what was acknowledged, what ran where, and what was in flight at a break.

Each job is a number. Those who enqueue note the numbers that were acknowledged; each run of a job appends to a file that it
began and how it ended; the drill notes which jobs Redis held as taken at the moment something broke. From these follows the
verdict: what was acknowledged and never ran to its end is lost; what ran again may do so only where it was in flight.
"""
import collections
import threading


class Run:
    """One execution of a job."""

    def __init__(self, attempt, pid, job, at):
        self.attempt, self.pid, self.job, self.begun, self.ended = attempt, int(pid), job, at, None

    def __str__(self):
        return f"process {self.pid}, attempt {self.attempt}, began {self.begun} µs, {self.ended or 'no end'}, id {self.job}"


class Verdict:
    """The figures of a drill, and whether they are as promised."""

    def __init__(self, enqueued, acknowledged, run, lost, twice, unexcused):
        self.enqueued, self.acknowledged, self.run = enqueued, acknowledged, run
        self.lost, self.twice, self.unexcused = lost, twice, unexcused  # numbers

    def is_good(self):
        return not self.lost and not self.unexcused


class Ledger:
    def __init__(self, path):
        self.path = path
        open(path, "w").close()
        self.enqueued = self.n_acknowledged = self.n_ended = 0
        self.later_attempts = set()  # numbers that ran with an attempt other than their first
        self.breaks = []  # (processes, None: all; ids of the jobs in flight)
        self._acknowledged = []  # (first, count)
        self._begun, self._ended = bytearray(), bytearray()  # by number: how often, at most 255
        self._read, self._rest = 0, b""
        self._lock = threading.Lock()

    # What those who enqueue note.

    def take(self, count):
        """Gives out so many new numbers; returns the first."""
        with self._lock:
            first = self.enqueued
            self.enqueued += count
            return first

    def acknowledge(self, first, count):
        with self._lock:
            self._acknowledged.append((first, count))
            self.n_acknowledged += count

    # What the drill notes.

    def broke(self, pids, ids):
        """These processes (None: whoever) may not finish these jobs, which they had taken."""
        self.breaks.append((pids if pids is None else set(pids), set(ids)))

    # What has run.

    def poll(self):
        """Reads what the jobs have written since."""
        with open(self.path, "rb") as f:
            f.seek(self._read)
            data = f.read()
        self._read += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        missing = self.enqueued - len(self._begun)
        self._begun.extend(bytes(missing))
        self._ended.extend(bytes(missing))
        for line in lines:
            what, text, attempt, _ = line.split(b" ", 3)
            number = int(text)
            if what == b"begin":
                self._begun[number] = min(self._begun[number] + 1, 255)
                if attempt != b"1":
                    self.later_attempts.add(number)
            elif what == b"end":
                self.n_ended += not self._ended[number]
                self._ended[number] = 1

    def missing(self):
        """Numbers that were acknowledged and have not run to their end."""
        return [n for first, count in self._acknowledged for n in range(first, first + count) if not self._ended[n]]

    def runs(self, numbers):
        """Number → its executions in the order of their begin."""
        found = collections.defaultdict(list)
        with open(self.path) as f:
            for line in f:
                what, text, attempt, pid, job, at = line.split()
                number = int(text)
                if number not in numbers:
                    continue
                if what == "begin":
                    found[number].append(Run(attempt, pid, job, at))
                else:
                    run = next(r for r in reversed(found[number]) if r.pid == int(pid) and r.attempt == attempt)
                    run.ended = f"{what} {at} µs"
        return found

    def _excused(self, run):
        return any((pids is None or run.pid in pids) and run.job in ids for pids, ids in self.breaks)

    def judge(self):
        """Of all executions of a job, one needs no excuse."""
        self.poll()
        twice = {number for number, count in enumerate(self._begun) if count > 1}
        unexcused = [number for number, runs in self.runs(twice).items() if sum(not self._excused(run) for run in runs) > 1]
        return Verdict(self.enqueued, self.n_acknowledged, self.n_ended, self.missing(), twice, unexcused)

    def tell(self, number):
        """All that is known of a number, for whoever wonders about a verdict."""
        return "\n".join([f"  job {number}:", *(f"    {run}" for run in self.runs({number})[number])])
