"""Durable jobs in a running tree: what is committed runs, what is rolled back does not, whatever dies in between.

Every job leaves a row in `runs`. One of the queue "money" moves a coin besides, in a transaction with prong_job_done():
those rows and sums must be exact after every drill.
"""
import os
import random
import signal
import time
import unittest

from harness import App, Services, binary, wait_for

PURSES = 16


class Durable(unittest.TestCase):
    def setUp(self):
        self.services = Services(redis_arguments=["--appendonly", "yes", "--appendfsync", "always"])
        self.addCleanup(self.services.stop)
        self.services.sql(f"""
            CREATE TABLE orders (first integer, at timestamptz DEFAULT clock_timestamp());
            CREATE TABLE runs (job uuid, number integer, attempt integer, at timestamptz DEFAULT clock_timestamp());
            CREATE TABLE moves (number integer);
            CREATE TABLE purses (id integer PRIMARY KEY, coins integer);
            INSERT INTO purses SELECT id, 0 FROM generate_series(0, {PURSES - 1}) AS id""")
        self.ordered = 0
        seed = int(os.environ.get("PRONG_TEST_SEED", random.randrange(2**32)))
        self.random = random.Random(seed)
        self.addCleanup(lambda: self._outcome.success or print(f"PRONG_TEST_SEED={seed}"))

    def start(self, workers=2):
        self.app = App(binary("durable_app"), self.services, WEB_CONCURRENCY=1, JOB_PROCESSES=workers,
                       LOG_LEVEL="warning")
        self.addCleanup(self.app.stop)
        self.app.command("migrate", "up")
        self.app.start()

    def number(self, sql):
        return int(float(self.services.sql(sql)[0][0]))

    def order(self, what, count, **more):
        """Has `count` jobs enqueued in one transaction; returns the response."""
        response = self.app.post(f"/v1/{what}", {"first": self.ordered, "count": count, **more})
        if response.status == 204:
            self.ordered += count
        return response

    def must_order(self, what, count, **more):
        self.assertEqual(self.order(what, count, **more).status, 204)

    def child(self, kind):
        """The process id of one of the children whose name holds `kind`."""
        return wait_for(lambda: self.random.choice([0] + [pid for name, pid in self.app.children().items()
                                                          if kind in name]), f"a child named {kind}")

    def wait_until_done(self, seconds=60):
        wait_for(lambda: self.number("SELECT count(*) FROM prong_outbox WHERE dead_at IS NULL") == 0,
                 "no durable job is left", seconds)

    def check_coins(self):
        """Every coin was moved once."""
        self.assertEqual(self.number("SELECT count(*) FROM moves"), self.ordered)
        self.assertEqual(self.number("SELECT count(DISTINCT number) FROM moves"), self.ordered)
        self.assertEqual(self.number("SELECT sum(coins) FROM purses"), self.ordered)
        self.assertEqual(self.number("SELECT count(*) FROM prong_finished_jobs"), self.ordered)
        self.assertIsNone(self.app.process.exit_status())

    def test_a_transaction_decides(self):
        self.start()
        self.assertEqual(self.order("errands", 100, roll_back=True).status, 409)
        self.assertEqual(self.number("SELECT count(*) FROM orders"), 0)
        self.must_order("errands", 100)
        self.wait_until_done()
        self.assertEqual(self.number("SELECT count(*) FROM runs"), 100)
        self.assertEqual(self.number("SELECT count(DISTINCT number) FROM runs"), 100)

    def test_a_delay_is_waited_for(self):
        self.start()
        self.must_order("errands", 20, delay_ms=1500)
        self.wait_until_done()
        self.assertGreaterEqual(self.number("SELECT extract(epoch FROM min(runs.at) - min(orders.at)) * 1000"
                                            " FROM runs, orders"), 1499)
        self.assertEqual(self.number("SELECT count(*) FROM runs"), 20)

    def test_redis_is_emptied(self):
        self.start()
        for _ in range(3):
            begun = self.number("SELECT count(*) FROM moves")
            self.must_order("coins", 2000, work_ms=5)
            wait_for(lambda: self.number("SELECT count(*) FROM moves") > begun + 200, "some have run")
            self.services.redis_command("FLUSHALL")
        self.wait_until_done()
        self.check_coins()

    def test_redis_is_away(self):
        self.start()
        self.must_order("coins", 500, work_ms=2)
        self.services.redis.kill()
        for _ in range(5):
            self.must_order("coins", 100)
            time.sleep(0.3)  # meanwhile everybody finds out
        self.services.start_redis()
        self.wait_until_done()
        self.check_coins()

    def test_the_scheduler_is_killed(self):
        self.start()
        for _ in range(7):
            self.must_order("coins", 300)
            time.sleep(self.random.uniform(0, 0.1))
            os.kill(self.child("scheduler"), signal.SIGKILL)
        self.wait_until_done()
        self.check_coins()

    def test_workers_are_killed_around_the_commit(self):
        self.start(workers=6)  # those that die early and often come back later and later
        self.must_order("coins", 4000, work_ms=10)
        for _ in range(36):
            os.kill(self.child("worker"), signal.SIGKILL)
            time.sleep(self.random.uniform(0, 0.1))
        self.assertGreater(self.number("SELECT count(*) FROM prong_outbox"), 0, "all was over before the last kill")
        self.wait_until_done()
        self.check_coins()

    def test_everything_is_killed(self):
        """Workers, the scheduler and Redis, which keeps all it acknowledged, and which is emptied now and then."""
        self.start()
        for _ in range(12):
            self.must_order("coins", 200, work_ms=5)
            victim = self.random.choice(["worker", "scheduler", "worker", "redis", "flush"])
            time.sleep(self.random.uniform(0, 0.2))
            if victim == "redis":
                self.services.redis.kill()
                self.services.start_redis()
            elif victim == "flush":
                self.services.redis_command("FLUSHALL")
            else:
                os.kill(self.child(victim), signal.SIGKILL)
        self.wait_until_done(120)
        self.check_coins()

    def test_the_dead_are_marked_and_stay_dead(self):
        self.start()
        self.must_order("failures", 3)
        wait_for(lambda: self.number("SELECT count(*) FROM prong_outbox WHERE dead_at IS NOT NULL"
                                     " AND error ->> 'code' = 'broken'") == 3, "the dead are marked", 90)
        wait_for(lambda: self.number("SELECT count(*) FROM prong_job_history") == 2 * 3, "the history is written")
        self.assertEqual(self.services.sql("SELECT DISTINCT name, queue, attempt, outcome, error ->> 'code'"
                                           " FROM prong_job_history ORDER BY attempt"),
                         [["fail_errand", "errands", "1", "failed", "broken"],
                          ["fail_errand", "errands", "2", "dead", "broken"]])
        self.services.redis_command("FLUSHALL")
        self.must_order("errands", 3)
        self.wait_until_done()
        self.assertEqual(self.number("SELECT count(*) FROM runs"), 2 * 3 + 3)
        self.assertEqual(self.number("SELECT count(*) FROM prong_outbox"), 3)


if __name__ == "__main__":
    unittest.main()
