"""The master and its children: start, drain, death and replacement, on the real binary."""
import os
import re
import signal
import socket
import unittest

from harness import App, Process, Services, binary, free_port, wait_for


def is_running(pid):
    """Whether a process runs; one that only awaits its parent's notice does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


NAMES = ["prong: http 0", "prong: http 1", "prong: scheduler 0", "prong: worker 0"]


class SupervisorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        app = App(binary("prong"), cls.services)
        cls.addClassCleanup(app.stop)
        app.command("migrate", "up")

    def setUp(self):
        self.app = App(binary("prong"), self.services, WEB_CONCURRENCY=2, JOB_PROCESSES=1)
        self.addCleanup(self.app.stop)

    def start(self):
        """Starts `serve`; returns its children by name once all are there."""
        self.app.start()
        return wait_for(lambda: self.children_named(NAMES), "four children")

    def children_named(self, names):
        """The children by name, once they are these; a child of a moment ago has not named itself yet."""
        found = self.app.children()
        return sorted(found) == names and found

    def wait_for_line(self, pattern):
        return wait_for(lambda: re.search(pattern, self.app.process.output()), f"a line with {pattern}")

    def assert_gone(self, pids):
        wait_for(lambda: not any(is_running(pid) for pid in pids), "the children are gone")

    def test_starts_every_class(self):
        self.start()
        self.wait_for_line(r"ready: 4 processes serve")

    def test_says_what_redis_keeps(self):
        self.start()
        self.wait_for_line(r"Redis writes no AOF: a restart of it loses all jobs that are not durable")

    def test_takes_any_port_and_says_which(self):
        self.app.process = Process([self.app.program, "serve"], cwd=self.app.folder,
                                   env=self.app.environment | {"PORT": "0"})
        self.app.port = int(self.wait_for_line(r"listening on http://127\.0\.0\.1:(\d+)")[1])
        self.assertNotEqual(self.app.port, 0)
        wait_for(self.app.is_ready, "ready")

    def test_sigterm_and_sigint_drain(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            children = self.start()
            self.app.process.signal(number)
            self.assertEqual(self.app.process.wait(), 0)
            self.assert_gone(children.values())
            self.assertIn("draining", self.app.process.output())
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", self.app.port), timeout=5)

    def test_other_signals_change_nothing(self):
        children = self.start()
        for number in (signal.SIGHUP, signal.SIGUSR2):
            self.app.process.signal(number)
            self.wait_for_line(f"{number.name} has no meaning")
        self.assertEqual(self.app.children(), children)

    def test_a_request_in_flight_ends_before_the_tree(self):
        self.start()
        body = b'{"email":"drain@example.com","password":"correct horse battery"}'
        with self.app.connect() as connection:
            connection.send(b"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
            self.app.process.signal(signal.SIGTERM)
            self.wait_for_line("draining")
            connection.send(body[10:])
            self.assertEqual(connection.read_response().status, 201)
        self.assertEqual(self.app.process.wait(), 0)

    def test_connecting_while_it_drains_fails_at_once(self):
        self.start()
        body = b'{"email":"late@example.com","password":"correct horse battery"}'
        with self.app.connect() as connection:
            connection.send(b"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
            self.app.process.signal(signal.SIGTERM)
            wait_for(self.is_refused, "connecting is refused")
            connection.send(body[10:])
            self.assertEqual(connection.read_response().status, 201)
        self.assertEqual(self.app.process.wait(), 0)

    def is_refused(self):
        try:
            socket.create_connection(("127.0.0.1", self.app.port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_nothing_takes_the_place_of_closed_streams(self):
        self.app.port = free_port()
        self.app.process = Process(["sh", "-c", 'exec "$0" serve <&- >&- 2>&-', self.app.program], cwd=self.app.folder,
                                   env=self.app.environment | {"PORT": str(self.app.port)})
        wait_for(self.app.is_ready, "ready")
        for pid in [self.app.process.pid, *self.app.children().values()]:
            self.assertEqual([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)

    def test_the_dead_are_replaced_and_the_others_stay(self):
        children = self.start()
        for name in children:
            before = self.app.children()
            os.kill(before[name], signal.SIGKILL)
            after = wait_for(lambda: (now := self.children_named(NAMES)) and now[name] != before[name] and now,
                             f"a successor of {name}")
            self.assertEqual({other: pid for other, pid in after.items() if other != name},
                             {other: pid for other, pid in before.items() if other != name})
            self.wait_for_line(rf"{name.removeprefix('prong: ')} \(pid {before[name]}\) was killed by SIGKILL")
        self.assertEqual(self.app.get("/health/live").status, 200)

    def test_what_hangs_is_replaced(self):
        self.app.environment["WATCHDOG_TIMEOUT"] = "2s"
        children = self.start()
        for name in ("prong: http 0", "prong: scheduler 0", "prong: worker 0"):
            os.kill(children[name], signal.SIGSTOP)
        after = wait_for(lambda: (now := self.children_named(NAMES)) and
                         not set(now.values()) & (set(children.values()) - {children["prong: http 1"]}) and now,
                         "successors of those that hang")
        self.assertEqual(after["prong: http 1"], children["prong: http 1"])
        self.wait_for_line(rf"worker 0 \(pid {children['prong: worker 0']}\) is stuck, its loop has not turned")
        wait_for(lambda: b'prong_process_stalls_total{class="worker"} 1' in self.app.get("/metrics").body, "it counts")

    def test_a_worker_that_has_grown_is_replaced(self):
        self.app.environment["WORKER_MEMORY"] = "1"
        children = self.start()
        wait_for(lambda: (now := self.children_named(NAMES)) and
                 now["prong: worker 0"] != children["prong: worker 0"], "a successor")
        self.wait_for_line("MiB in memory are more than the 1 allowed")
        self.wait_for_line(rf"worker 0 \(pid {children['prong: worker 0']}\) has drained and left")

    def test_no_orphans_when_the_master_is_killed(self):
        children = self.start()
        self.app.process.kill()
        self.assert_gone(children.values())
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", self.app.port))

    def test_a_second_signal_kills(self):
        self.app.environment["DRAIN_TIMEOUT"] = "10m"
        children = self.start()
        with self.app.connect() as connection:
            # A request that stays unfinished keeps its process draining.
            connection.send(b"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            b"Content-Length: 64\r\n\r\n")
            os.kill(children["prong: worker 0"], signal.SIGSTOP)
            self.app.process.signal(signal.SIGTERM)
            self.wait_for_line("draining")
            self.app.process.signal(signal.SIGTERM)
            self.assertEqual(self.app.process.wait(), 1)
        self.assert_gone(children.values())

    def test_a_stopped_child_is_killed_at_the_drain_timeout(self):
        self.app.environment["DRAIN_TIMEOUT"] = "1s"
        children = self.start()
        os.kill(children["prong: worker 0"], signal.SIGSTOP)
        self.app.process.signal(signal.SIGTERM)
        self.assertEqual(self.app.process.wait(), 0)
        self.assert_gone(children.values())
        self.assertIn("have not drained in time", self.app.process.output())

    def test_work_listens_on_no_port(self):
        self.app.start("work", wait=False)
        self.wait_for_line(r"ready: 2 processes serve")
        wait_for(lambda: self.children_named(NAMES[2:]), "two children")
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", self.app.port), timeout=5)
        self.assertEqual(self.app.process.stop(), 0)

    def test_consumes_the_queues_of_the_setting(self):
        self.app.environment["JOB_QUEUES"] = "maul"
        self.app.start("work", wait=False)
        self.assertEqual(self.app.process.wait(), 78)
        self.assertIn("JOB_QUEUES: there is no queue maul; the application has: default, mail", self.app.process.output())
        self.app.environment.update(JOB_QUEUES="", JOB_PROCESSES="0")
        self.app.start("work", wait=False)
        self.wait_for_line(r"queues that wait for workers elsewhere: all")
        self.assertEqual(self.app.process.stop(), 0)


if __name__ == "__main__":
    unittest.main()
