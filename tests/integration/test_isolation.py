"""Jobs in processes of their own, in a whole tree: what dies takes nothing along that is not its own."""
import os
import pathlib
import re
import signal
import unittest
import uuid

from harness import App, Services, binary, wait_for

NURSERY = "prong: worker 0 nursery"
JOB = "prong: worker 0 job run_apart"


def title(pid):
    """What `ps` shows of a process; "" for one that has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def children(pid):
    """Ids of a process's children by their titles; of those with the same one any."""
    try:
        found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return {}
    return {title(child): int(child) for child in found if title(child)}


class IsolationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        cls.services.sql("CREATE TABLE steps (at timestamptz NOT NULL DEFAULT clock_timestamp(),"
                         " entry_id uuid NOT NULL, attempt int NOT NULL, step text NOT NULL)")
        app = App(binary("isolated_app"), cls.services)
        cls.addClassCleanup(app.stop)
        app.command("migrate", "up")

    def setUp(self):
        self.services.sql("TRUNCATE steps")
        self.services.redis_command("FLUSHALL")
        self.app = App(binary("isolated_app"), self.services, WEB_CONCURRENCY=1, JOB_PROCESSES=1, JOB_ISOLATED=2)
        self.addCleanup(self.app.stop)

    def add(self, **entry):
        response = self.app.post("/v1/entries", {"id": str(uuid.uuid4()), **entry})
        self.assertEqual(response.status, 204, response)

    def count(self, condition="true"):
        return int(self.services.sql(f"SELECT count(*) FROM steps WHERE {condition}")[0][0])

    def wait_for_count(self, condition, count):
        wait_for(lambda: self.count(condition) == count, f"{count} steps with {condition}")

    def worker(self):
        return self.app.children().get("prong: worker 0")

    def family(self):
        """The worker, its nursery and one of its jobs, once all three are there."""
        worker = self.worker()
        nursery = worker and children(worker).get(NURSERY)
        job = nursery and children(nursery).get(JOB)
        return job and (worker, nursery, job)

    def assert_gone(self, *pids):
        wait_for(lambda: not any(title(pid) for pid in pids), "the processes are gone")

    def test_a_job_runs_beside_its_worker(self):
        self.app.start()
        self.add(work_ms=200)
        worker, nursery, job = wait_for(self.family, "a job's process")
        self.assertEqual(os.getpgid(job), job)
        self.wait_for_count("step = 'followed'", 1)  # a job that it enqueued
        self.assert_gone(job)
        self.assertEqual(self.worker(), worker)
        self.assertTrue(title(nursery))

    def test_a_crash_is_the_jobs_own(self):
        self.app.start()
        worker = wait_for(self.worker, "a worker")
        self.add(crashes=True)
        wait_for(lambda: self.services.redis_command("ZCARD", "prong:{apart#0}:dead") == 1, "it is dead")
        self.assertEqual(self.count("step = 'begun'"), 2)  # max_crashes
        wait_for(lambda: "Its process was killed by SIGABRT" in self.app.process.output(), "the log says so")
        self.add()
        self.wait_for_count("step = 'done'", 1)
        self.assertEqual(self.worker(), worker)

    def test_a_killed_worker_takes_its_jobs_along(self):
        self.app.start()
        for _ in range(6):
            self.add(work_ms=300)
        worker, nursery, job = wait_for(self.family, "a job's process")
        os.kill(worker, signal.SIGKILL)
        self.assert_gone(worker, nursery, job)
        wait_for(lambda: self.count("step = 'done'") >= 6, "all are done")
        self.assertEqual(int(self.services.sql("SELECT count(DISTINCT entry_id) FROM steps WHERE step = 'done'")[0][0]), 6)
        self.assertLessEqual(self.count("step = 'begun'"), 8)  # two ran when it was killed

    def test_a_worker_without_its_nursery_is_replaced(self):
        self.app.start()
        for _ in range(6):
            self.add(work_ms=300)
        worker, nursery, job = wait_for(self.family, "a job's process")
        os.kill(nursery, signal.SIGKILL)
        self.assert_gone(worker, nursery, job)
        self.wait_for_count("step = 'done'", 6)
        self.assertEqual(self.count("attempt <> 1"), 0)  # what it interrupted was given back
        self.assertRegex(self.app.process.output(), "the nursery.* was killed by SIGKILL")
        self.assertRegex(self.app.process.output(), r"worker 0 \(pid \d+\) left with status 1")

    def test_a_drained_worker_lets_its_jobs_end(self):
        self.app.start()
        for _ in range(20):
            self.add(work_ms=500)
        family = wait_for(self.family, "a job's process")
        os.killpg(self.app.process.pid, signal.SIGTERM)
        for pid in family:
            if title(pid):
                os.kill(pid, signal.SIGTERM)  # as a service manager does
        self.assertEqual(self.app.process.wait(), 0)
        self.assert_gone(*family)
        done = self.count("step = 'done'")
        self.assertEqual(self.count("step = 'begun'"), done)
        self.assertEqual(self.services.redis_command("LLEN", "prong:{apart#0}:ready"), 20 - done)
        self.assertLess(done, 20)

    def test_their_connections_are_in_the_budget(self):
        done = self.app.command("serve", check=False, JOB_ISOLATED=100)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertRegex(done.stderr, re.escape(" + 100 isolated jobs × 2 = "))
        self.assertIn("JOB_ISOLATED", done.stderr)


if __name__ == "__main__":
    unittest.main()
