"""Jobs that crash, block, leave and grow: they take their worker with them, and nobody else."""
import os
import re
import signal
import unittest
import uuid

from harness import App, Services, binary, wait_for

MAX_CRASHES = 3  # of a job that does not say otherwise


class CrashesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        cls.services.sql("CREATE TABLE starts (id uuid, attempt integer); CREATE TABLE ends (id uuid);"
                         "CREATE TABLE released ()")

    def setUp(self):
        self.services.sql("TRUNCATE starts, ends, released")
        self.app = App(binary("crash_app"), self.services, WEB_CONCURRENCY=1, JOB_PROCESSES=1)
        self.addCleanup(self.app.stop)
        # A crash that is meant is not to be reported.
        self.app.environment["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0"
        self.app.command("migrate", "up")

    def start(self, **settings):
        self.app.environment |= settings
        self.app.start()

    def child(self, name):
        """The process id of a child; one of a moment ago has not named itself yet."""
        return wait_for(lambda: self.app.children().get(f"prong: {name}"), name)

    def order(self, what):
        """Enqueues a job; returns the id by which it notes what it does."""
        order = str(uuid.uuid4())
        self.assertEqual(self.app.post("/v1/orders", {"id": order, "what": what}).status, 204)
        return order

    def attempts(self, order):
        """Of each start, in their order."""
        return [int(row[0]) for row in self.services.sql(f"SELECT attempt FROM starts WHERE id = '{order}'")]

    def innocents(self):
        """Jobs that run and do no harm."""
        orders = [self.order("wait") for _ in range(5)]
        wait_for(lambda: all(self.attempts(order) for order in orders), "all have begun")
        return orders

    def release(self, innocents):
        """Lets them end; all do, and no attempt was counted but the first."""
        self.services.sql("INSERT INTO released DEFAULT VALUES")
        wait_for(lambda: {row[0] for row in self.services.sql("SELECT id FROM ends")} >= set(innocents), "all ended")
        for order in innocents:
            self.assertEqual(set(self.attempts(order)), {1})

    def wait_for_line(self, pattern):
        return wait_for(lambda: re.search(pattern, self.app.process.output()), f"a line with {pattern}")

    def check_poison(self, what, seen, **settings):
        self.start(**settings)
        innocents = self.innocents()
        guilty = self.order(what)
        self.wait_for_line("job obey is dead: it took its process with it too often")
        self.assertEqual(self.attempts(guilty), list(range(1, MAX_CRASHES + 1)))
        self.assertEqual(len(re.findall(seen, self.app.process.output())), MAX_CRASHES)
        self.release(innocents)

    def test_a_job_that_crashes_is_poison(self):
        self.check_poison("crash", r"worker 0 \(pid \d+\) was killed by SIGSEGV.* in job ")

    def test_a_job_whose_thread_crashes_is_poison(self):
        self.check_poison("crash-on-thread", r"worker 0 \(pid \d+\) was killed by SIGSEGV.* in job ")

    def test_a_job_that_ends_the_process_is_poison(self):
        self.check_poison("leave", r"worker 0 \(pid \d+\) left with status 0 in job ")

    def test_a_job_that_blocks_is_poison(self):
        self.check_poison("block", r"worker 0 \(pid \d+\) is stuck in job ", WATCHDOG_TIMEOUT="3s")

    def test_a_job_that_grows_is_done_and_its_worker_replaced(self):
        self.start(WORKER_MEMORY="250")
        order = self.order("grow")
        self.wait_for_line("MiB in memory are more than the 250 allowed")
        self.wait_for_line(r"worker 0 \(pid \d+\) has drained and left")
        self.release(self.innocents())
        self.assertEqual(self.attempts(order), [1])

    def test_a_stopped_worker_loses_no_attempts(self):
        self.start(WATCHDOG_TIMEOUT="3s")
        innocents = self.innocents()
        os.kill(self.child("worker 0"), signal.SIGSTOP)
        wait_for(lambda: all(len(self.attempts(order)) > 1 for order in innocents), "all have begun again")
        self.release(innocents)

    def test_a_scheduler_goes_on_where_another_died(self):
        self.start()
        innocents = self.innocents()
        for name in ("scheduler 0", "worker 0"):
            os.kill(self.child(name), signal.SIGKILL)
        wait_for(lambda: all(len(self.attempts(order)) > 1 for order in innocents), "all have begun again")
        self.release(innocents)

    def test_the_next_tree_puts_back_what_a_killed_one_had(self):
        self.start()
        innocents = self.innocents()
        self.app.process.kill()
        self.app.start()
        wait_for(lambda: all(len(self.attempts(order)) > 1 for order in innocents), "all have begun again")
        self.release(innocents)


if __name__ == "__main__":
    unittest.main()
