"""What a drill plays on: PostgreSQL, Redis, the drills' application, clients that enqueue, and the ledger of it all."""
import contextlib
import os
import random
import signal
import threading
import time

from harness import App, Ended, Services, binary, wait_for
from cutter import Cutter
from ledger import Ledger

BATCH = 200  # jobs that one request enqueues
CLIENTS = 3
BACKLOG = 10_000  # acknowledged jobs that have not run; clients wait beyond
TAKEN = """
    local ids = {}
    for _, key in ipairs(redis.call('KEYS', 'prong:*:taken:*')) do
        for _, id in ipairs(redis.call('HKEYS', key)) do
            ids[#ids + 1] = id
        end
    end
    return ids"""


class Stage:
    """Started by `with`; everything has ended after it, whatever happened."""

    def __init__(self, drill, seed):
        self.drill = drill
        self.random = random.Random(seed)
        self.apps = []
        self.cutter = None
        self.threads = []
        self.stopping = threading.Event()
        self.wrong = []  # answers that no disturbance explains
        self.disturbances = 0

    def __enter__(self):
        with contextlib.ExitStack() as ends:
            self._start(ends)
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *_):
        self._ends.close()

    def _start(self, ends):
        # What a second of AOF may lose on a host crash is only in question where Redis dies.
        fsync = "always" if self.drill.redis_dies else "everysec"
        self.services = Services(redis_arguments=["--appendonly", "yes", "--appendfsync", fsync])
        ends.callback(self.services.stop)
        self.services.sql("CREATE TABLE effects (number bigint NOT NULL)")
        self.ledger = Ledger(f"{self.services.folder}/ledger")
        settings = {"WEB_CONCURRENCY": 2, "JOB_PROCESSES": 2, "DATABASE_CONNECTIONS": 8, "LOG_LEVEL": "warning",
                    "DRILL_LEDGER": self.ledger.path, **self.drill.settings}
        if self.drill.cut:
            path = f"{self.services.folder}/cutter.sock"
            self.cutter = Cutter(path, self.services.redis_url.removeprefix("unix://"), self.random.random())
            ends.callback(self.cutter.stop)
            settings["REDIS_URL"] = f"unix://{path}"
        for i in range(self.drill.apps):
            app = App(binary("drill_app"), self.services, **settings)
            self.apps.append(app)
            ends.callback(app.stop)
            if i == 0:
                app.command("migrate", "up")
            app.start()
            ends.callback(self.thaw, app)
        ends.callback(self.stop_enqueueing)

    @property
    def app(self):
        return self.apps[0]

    # Clients that enqueue.

    def start_enqueueing(self):
        chances = [random.Random(self.random.random()) for _ in range(CLIENTS)]
        self.threads = [threading.Thread(target=self._enqueue, args=(chance,), daemon=True) for chance in chances]
        self.threads.append(threading.Thread(target=self._follow, daemon=True))
        for thread in self.threads:
            thread.start()

    def stop_enqueueing(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        self.threads = []

    def _follow(self):
        while not self.stopping.wait(0.1):
            self.ledger.poll()

    def _enqueue(self, chance):
        while not self.stopping.is_set():
            if self.ledger.n_acknowledged - self.ledger.n_ended > BACKLOG:
                self.stopping.wait(0.05)
                continue
            first = self.ledger.take(BATCH)
            try:
                response = self.post(first, BATCH, self.drill.kind, slow_every=chance.choice((0, 20, 50)),
                                     work_ms=chance.randint(1, 50))
            except (OSError, Ended, TimeoutError):
                self.stopping.wait(0.05)
                continue
            if response.status == 204:
                self.ledger.acknowledge(first, BATCH)
                continue
            if response.status not in (503, 504):
                self.wrong.append(f"answered {response}")
            self.stopping.wait(0.05)

    def post(self, first, count, kind, **load):
        """Asks for so many jobs, numbered from `first`; returns the response."""
        return self.app.post(f"/v1/numbers/{kind}", {"first": first, "count": count, **load}, seconds=40)

    # Disturbances.

    def children(self, kind):
        """Process ids of the application's children of this kind that are there now."""
        return [pid for name, pid in self.app.children().items() if f": {kind} " in f"{name} "]

    def a_child(self, kind):
        """The process id of one. Where none is there, as after an earlier death, the next one gets some time to live."""
        if not self.children(kind):
            wait_for(lambda: self.children(kind), f"a child named {kind}", 60)
            time.sleep(self.random.uniform(*self.drill.every))
        return self.random.choice(wait_for(lambda: self.children(kind), f"a child named {kind}", 60))

    def freeze(self, pids):
        """Stops processes wherever they are, to see what they have taken: nothing of it can be finished meanwhile."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(20):  # turns of Redis' loop: what they had sent arrives
            self.redis("PING")
        self.ledger.broke(pids, self.redis("EVAL", TAKEN, 0))

    @staticmethod
    def thaw(app):
        if app.process.exit_status() is None:
            app.process.signal(signal.SIGCONT)

    def kill(self, kind):
        pid = self.a_child(kind)
        if kind == "worker":
            self.freeze([pid])
        os.kill(pid, signal.SIGKILL)

    def kill_master(self):
        children = self.app.children().values()
        self.freeze(self.children("worker"))
        self.app.process.kill()
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), "no orphans", 30)
        self.app.start()

    def kill_redis(self):
        self.services.redis.kill()
        self.services.start_redis()

    def flush(self):
        self.ledger.broke(None, self.redis("EVAL", TAKEN.replace("return", "redis.call('FLUSHALL') return"), 0))

    def redis(self, *arguments):
        return self.services.redis_command(*arguments)

    def waiting(self):
        """Jobs that Redis or PostgreSQL holds and that are not dead."""
        rows = int(self.services.sql("SELECT count(*) FROM prong_outbox")[0][0])
        return rows + sum(self.redis("HLEN", key) for key in self.redis("KEYS", "prong:*:body")) - self.dead()

    def dead(self):
        return sum(self.redis("ZCARD", key) for key in self.redis("KEYS", "prong:*:dead"))

    def settle(self, seconds):
        """Waits until everything acknowledged has run and nothing is left; what has not run by then is lost."""
        try:
            wait_for(self._all_has_run, "every acknowledged job has run", seconds)
        except TimeoutError:
            return
        wait_for(lambda: self.waiting() == 0, "the queues are empty", seconds)
        self.ledger.poll()

    def _all_has_run(self):
        self.ledger.poll()
        return not self.ledger.missing()

    def fsck(self):
        """What `jobs fsck` finds wrong; empty when nothing is."""
        done = self.app.command("jobs", "fsck", check=False)
        return "" if done.returncode == 0 else f"fsck found:\n{done.stdout}{done.stderr}"
