"""Fault drills: processes and servers die while clients send, and a ledger outside the system counts what came of it.

What holds in every drill: an acknowledged entry is in PostgreSQL and its job has run to its end; nobody waits past a
deadline; liveness stays green; everything recovers without a restart.
"""
import os
import signal
import threading
import time
import unittest
import uuid

from harness import App, Ended, Services, binary, wait_for

LEASE = 30  # seconds: what is put back sooner was not put back by an expired lease


class Ledger:
    """Clients that record entries until they are stopped, and what each was told."""

    def __init__(self, app, clients=4, work_ms=0):
        self.app, self.work_ms = app, work_ms
        self.acknowledged, self.refused, self.broken, self.wrong = [], [], [], []
        self.slowest = 0.0
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        while not self._stopping.is_set():
            self._record(str(uuid.uuid4()))

    def _record(self, entry):
        begun = time.monotonic()
        try:
            response = self.app.post("/v1/entries", {"id": entry, "work_ms": self.work_ms}, seconds=20)
        except TimeoutError as error:
            self.wrong.append(f"no answer: {error}")
            return
        except (OSError, Ended):
            self.broken.append(entry)
            return
        finally:
            self.slowest = max(self.slowest, time.monotonic() - begun)
        if response.status == 204:
            self.acknowledged.append(entry)
        elif response.status in (503, 504) and (response.status == 504 or "retry-after" in response.headers):
            self.refused.append(entry)
            self._stopping.wait(0.05)
        else:
            self.wrong.append(repr(response))

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join()


class Drills(unittest.TestCase):
    def setUp(self):
        # Redis keeps every write it has acknowledged: what a second of AOF may lose on a host crash is not in question here.
        self.services = Services(redis_arguments=["--appendonly", "yes", "--appendfsync", "always"])
        self.addCleanup(self.services.stop)
        self.services.sql("CREATE TABLE entries (id uuid PRIMARY KEY);"
                          "CREATE TABLE steps (entry_id uuid, attempt integer, step text, at timestamptz DEFAULT now())")
        self.app = App(binary("drill_app"), self.services, WEB_CONCURRENCY=2, JOB_PROCESSES=1)
        self.addCleanup(self.app.stop)
        self.app.command("migrate", "up")
        self.app.start()

    def child(self, kind):
        """The process id of a child, of those whose name begins so."""
        return wait_for(lambda: next((pid for name, pid in sorted(self.app.children().items()) if kind in name), None),
                        f"a child named {kind}")

    def done(self):
        return {row[0] for row in self.services.sql("SELECT entry_id FROM steps WHERE step = 'done'")}

    def acknowledge_some(self, ledger, more):
        goal = len(ledger.acknowledged) + more
        wait_for(lambda: len(ledger.acknowledged) >= goal, f"{more} more acknowledged entries", 60)

    def settle(self, ledger, seconds=60):
        """Stops the clients and checks what holds in every drill."""
        ledger.stop()
        self.assertEqual(ledger.wrong, [])
        self.assertLess(ledger.slowest, 20)
        stored = {row[0] for row in self.services.sql("SELECT id FROM entries")}
        self.assertEqual([entry for entry in ledger.acknowledged if entry not in stored], [], "acknowledged rows lost")
        wait_for(lambda: not set(ledger.acknowledged) - self.done(), "every acknowledged job is done", seconds)
        self.assertIsNone(self.app.process.exit_status())
        return ledger

    def run_twice(self):
        """Entries whose job ran to its end more than once."""
        return self.services.sql("SELECT entry_id FROM steps WHERE step = 'done' GROUP BY 1 HAVING count(*) > 1")

    def test_an_http_worker_is_killed(self):
        ledger = Ledger(self.app)
        for _ in range(3):
            self.acknowledge_some(ledger, 50)
            victim = self.child("http 0")
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: self.child("http 0") != victim, "a successor")
        self.acknowledge_some(ledger, 50)
        self.settle(ledger)
        # Each client has one request under way; nothing but what was in flight in the dead worker may break.
        self.assertLessEqual(len(ledger.broken), 3 * 4)
        self.assertEqual(ledger.refused, [])

    def test_a_job_worker_is_killed_in_mid_job(self):
        entries = [str(uuid.uuid4()) for _ in range(8)]
        for entry in entries:
            self.assertEqual(self.app.post("/v1/entries", {"id": entry, "work_ms": 1000}).status, 204)
        wait_for(lambda: self.services.sql("SELECT 1 FROM steps"), "a job has begun")
        killed = time.monotonic()
        os.kill(self.child("worker 0"), signal.SIGKILL)
        wait_for(lambda: self.done() == set(entries), "all jobs are done", LEASE - 5)
        self.assertLess(time.monotonic() - killed, LEASE - 5, "put back by the scheduler, not by the lease's end")
        self.assertTrue(self.services.sql("SELECT entry_id FROM steps WHERE step = 'begun' GROUP BY 1 "
                                          "HAVING count(*) > 1"), "no job was in flight: the drill has proved nothing")
        # They were waiting when it died: it was not their doing.
        self.assertEqual(self.services.sql("SELECT DISTINCT attempt FROM steps"), [["1"]])

    def test_redis_is_killed(self):
        ledger = Ledger(self.app, work_ms=20)
        self.acknowledge_some(ledger, 50)
        self.services.redis.kill()
        wait_for(lambda: len(ledger.refused) >= 10, "requests are refused with 503")
        self.assertEqual(self.app.get("/health/live").status, 200)
        self.assertEqual(self.app.get("/v1/nothing").status, 204)
        wait_for(lambda: self.app.get("/health/ready").status == 503, "not ready")
        self.services.start_redis()
        self.acknowledge_some(ledger, 50)
        wait_for(lambda: self.app.get("/health/ready").status == 200, "ready again")
        self.settle(ledger)

    def test_postgres_is_killed(self):
        ledger = Ledger(self.app, work_ms=20)
        self.acknowledge_some(ledger, 50)
        self.services.postgres.kill()
        wait_for(lambda: len(ledger.refused) >= 10, "requests are refused with 503")
        self.assertEqual(self.app.get("/health/live").status, 200)
        self.assertEqual(self.app.get("/v1/nothing").status, 204)
        wait_for(lambda: self.app.get("/health/ready").status == 503, "not ready")
        self.services.start_postgres()
        self.acknowledge_some(ledger, 50)
        wait_for(lambda: self.app.get("/health/ready").status == 200, "ready again")
        self.settle(ledger)
        self.assertNotIn("out of step", self.app.process.output())  # but lost

    def test_the_master_is_killed(self):
        # By name: one of a moment ago still has its master's.
        children = set(wait_for(lambda: len(found := self.app.children()) >= 4 and found, "all children").values())
        self.app.process.kill()
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), "no orphans", 10)
        self.app.start()
        self.assertEqual(self.app.get("/v1/nothing").status, 204)


if __name__ == "__main__":
    unittest.main()
