"""Connections as their clients see them: keep-alive, order, deadlines, limits, and how a process leaves."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import threading
import time
import unittest

from harness import App, Connection, Ended, Services, binary, wait_for

PING = b"GET /v1/ping HTTP/1.1\r\nHost: a\r\n\r\n"
HIT = b"POST /v1/hits HTTP/1.1\r\nHost: a\r\n\r\n"


def get(path, *fields):
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: a", *fields, "", "")).encode()


def echo(*fields):
    return "\r\n".join(("POST /v1/echo HTTP/1.1", "Host: a", "Content-Type: application/json", *fields, "",
                        "")).encode()


def resident(pid):
    """Bytes of memory that a process holds."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


class ConnectionTest(unittest.TestCase):
    """One http process, with settings of the test's own."""

    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)

    def serve(self, **settings):
        app = App(binary("test_app"), self.services, WEB_CONCURRENCY=1, **settings)
        self.addCleanup(app.stop)
        app.command("migrate", "up")
        return app.start()

    def processes(self, app):
        """The master's children."""
        pid = app.process.pid
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] or [pid]

    def wait_for_handlers(self, app, count):
        """Until so many requests are being handled, the one that asks aside."""
        wait_for(lambda: app.metric("http_server_active_requests") == count + 1, f"{count} handlers run")


class Requests(ConnectionTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.app = App(binary("test_app"), cls.services, WEB_CONCURRENCY=1)
        cls.addClassCleanup(cls.app.stop)
        cls.app.command("migrate", "up")
        cls.app.start()

    def test_keep_alive(self):
        with self.app.connect() as connection:
            for _ in range(20):
                connection.send(PING)
                response = connection.read_response()
                self.assertEqual((response.status, response.json()), (200, {"ok": True}))
                self.assertNotIn("connection", response.headers)

    def test_pipelined_replies_come_in_order(self):
        with self.app.connect() as connection:
            connection.send(get("/v1/slow?ms=300") + HIT + get("/v1/items/x") + b"".join([HIT] * 5))
            self.assertEqual(connection.read_response().json(), {"ok": True})
            first = connection.read_response().json()["count"]
            self.assertEqual(connection.read_response().json(), {"id": "x"})
            self.assertEqual([connection.read_response().json()["count"] for _ in range(5)],
                             list(range(first + 2, first + 7)))

    def test_deep_pipeline(self):
        requests = (HIT + get("/v1/slow?ms=0")) * 500
        with self.app.connect() as connection:
            sender = threading.Thread(target=connection.send, args=(requests,))
            sender.start()
            counts = []
            for _ in range(500):
                counts.append(connection.read_response().json()["count"])
                self.assertEqual(connection.read_response().status, 200)
            sender.join()
        self.assertEqual(counts, list(range(counts[0], counts[0] + 1000, 2)))

    def test_bodies_larger_than_the_buffers(self):
        body = b'{"text":"' + b"x" * 90000 + b'"}'
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7001]), body[i:i + 7001])
                          for i in range(0, len(body), 7001)) + b"0\r\n\r\n"
        with self.app.connect() as connection:
            connection.send(echo(f"Content-Length: {len(body)}") + body + PING)
            self.assertEqual(len(connection.read_response().json()["text"]), 90000)
            self.assertEqual(connection.read_response().json(), {"ok": True})
            connection.send_split(echo("Transfer-Encoding: chunked") + chunks + PING, 3001)
            self.assertEqual(len(connection.read_response().json()["text"]), 90000)
            self.assertEqual(connection.read_response().json(), {"ok": True})

    def test_large_bodies_leave_no_memory_behind(self):
        """What a burst took goes back to the system, whatever order it is freed in."""
        app = self.serve()
        if "asan" in pathlib.Path(f"/proc/{app.process.pid}/maps").read_text():
            self.skipTest("the sanitizer keeps freed memory")
        for size in (300_000, 900_000):
            body = b'{"text":"x","parts":[' + b",".join([b'{"name":"x"}'] * (size // 13)) + b"]}"
            connections = [app.connect() for _ in range(50)]
            for connection in connections:
                connection.send(echo(f"Content-Length: {len(body)}") + body[:-1])
            for connection in connections:
                connection.send(body[-1:])
            for connection in connections:
                self.assertEqual(connection.read_response().status, 200)
                connection.close()
        wait_for(lambda: max(map(resident, self.processes(app))) < 32 << 20, "the memory is given back")

    def test_expect_continue(self):
        with self.app.connect() as connection:
            connection.send(echo("Content-Length: 12", "Expect: 100-continue"))
            self.assertEqual(connection.read_response().status, 100)
            connection.send(b'{"text":"x"}' + PING)
            self.assertEqual(connection.read_response().json()["text"], "x")
            self.assertEqual(connection.read_response().status, 200)

    def test_a_refused_upload_reads_its_answer(self):
        """The answer is not lost to a reset, whatever the client still sends."""
        with self.app.connect() as connection:
            connection.send(echo("Content-Length: 5000000"))
            connection.send(b"x" * 5000000)
            response = connection.read_response()
            self.assertEqual((response.status, response.headers["connection"]), (413, "close"))
            connection.end()
            self.assertTrue(connection.is_ended())

    def test_a_client_that_sends_no_more_still_reads(self):
        with self.app.connect() as connection:
            connection.send(get("/v1/large?bytes=20000000"))
            connection.end()
            self.assertEqual(len(connection.read_response().body), 20000000)
            self.assertTrue(connection.is_ended())

    def test_a_vanished_client_ends_its_handler(self):
        self.wait_for_handlers(self.app, 0)
        connections = [self.app.connect() for _ in range(2)]
        for connection in connections:
            connection.send(get("/v1/slow?ms=60000"))
        self.wait_for_handlers(self.app, 2)
        connections[0].close()
        connections[1].reset()
        self.wait_for_handlers(self.app, 0)
        self.assertEqual(self.app.get("/v1/ping").status, 200)

    def test_a_late_handler_is_504(self):
        with self.app.connect() as connection:
            connection.send(get("/v1/late?ms=60000") + PING)
            response = connection.read_response()
            self.assertEqual((response.status, response.json()["code"]), (504, "timeout"))
            self.assertEqual(connection.read_response().status, 200)

    def test_health(self):
        self.assertEqual(self.app.get("/health/live").json(), {"status": "ok"})
        self.assertEqual(self.app.get("/health/startup").json(), {"status": "started"})
        ready = self.app.get("/health/ready")
        self.assertEqual(ready.status, 200)
        self.assertEqual(ready.json(), {"status": "ready", "checks": {
            name: {"status": "up", "critical": True} for name in ("postgresql", "redis", "signing_keys")}})

    def test_metrics(self):
        count = "http_server_request_duration_seconds_count"
        labels = 'http_route="/v1/items/{id}",http_request_method="GET",http_response_status_code="200"'
        unmatched = 'http_route="",http_request_method="_OTHER",http_response_status_code="404"'
        before = self.app.metric(count, labels) or 0
        for _ in range(3):
            self.app.get("/v1/items/1")
        self.assertEqual(self.app.metric(count, labels), before + 3)
        self.app.get("/nowhere")
        self.assertGreaterEqual(self.app.metric(count, unmatched), 1)
        response = self.app.get("/metrics")
        self.assertEqual(response.headers["content-type"], "text/plain; version=0.0.4")
        self.assertRegex(response.body.decode(), r'(?m)^build_info\{service_name="test_app",service_version="1.2.3",')
        wait_for(lambda: self.app.metric("http_server_open_connections") == 1, "only this probe is connected")


class Limits(ConnectionTest):
    def test_slow_and_idle_clients_are_cut(self):
        app = self.serve(HEAD_TIMEOUT="1s", IDLE_TIMEOUT="2s")
        with app.connect() as idle, app.connect() as head, app.connect() as body, app.connect() as reader:
            idle.send(PING)
            self.assertEqual(idle.read_response().status, 200)
            reader.send(get("/v1/large?bytes=100000000"))
            body.send(echo("Content-Length: 100"))
            head.send(b"GET /v1/ping HTTP/1.1\r\n")
            # A byte now and then is no reason to wait longer.
            for connection in (head, body):
                wait_for(lambda c=connection: not c.send(b"x") or self.has_answer(c), "the server gives up")
                response = connection.read_response()
                self.assertEqual((response.status, response.headers["connection"]), (408, "close"))
            self.assertTrue(idle.is_ended())
            wait_for(lambda: app.metric("http_server_open_connections") <= 3, "the slow reader is cut")
            with self.assertRaises(Ended):
                reader.read_response()

    @staticmethod
    def has_answer(connection):
        connection.socket.setblocking(False)
        try:
            connection.received += connection.socket.recv(65536)
        except BlockingIOError:
            pass
        finally:
            connection.socket.setblocking(True)
        return connection.received

    def test_more_handlers_than_allowed_are_503(self):
        app = self.serve(MAX_REQUESTS=2)
        waiting = [app.connect() for _ in range(2)]
        for connection in waiting:
            connection.send(get("/v1/slow?ms=60000"))
        self.wait_for_handlers(app, 2)
        response = app.get("/v1/ping")
        self.assertEqual((response.status, response.headers["retry-after"]), (503, "1"))
        self.assertEqual(app.get("/health/live").status, 200)
        for connection in waiting:
            connection.close()
        wait_for(lambda: app.get("/v1/ping").status == 200, "it serves again")

    def test_more_connections_than_allowed_wait(self):
        app = self.serve(MAX_CONNECTIONS=3)
        wait_for(lambda: app.metric("http_server_open_connections") == 1, "the probes have gone")
        held = [app.connect() for _ in range(3)]
        for connection in held:
            connection.send(PING)
            self.assertEqual(connection.read_response().status, 200)
        with app.connect() as late:
            late.send(PING)
            held[0].send(PING)
            self.assertEqual(held[0].read_response().status, 200)
            self.assertEqual(self.has_answer(late), b"")
            held[0].close()
            self.assertEqual(late.read_response().status, 200)
        for connection in held[1:]:
            connection.close()

    def test_no_descriptors_left(self):
        app = self.serve()
        children = self.processes(app)
        for child in children:
            resource.prlimit(child, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{child}/fd")) + 5,) * 2)
        held = [app.connect() for _ in range(30)]
        for connection in held:
            connection.send(PING)
        wait_for(lambda: "cannot accept connections" in app.process.output(), "it says so")
        begun, used = time.monotonic(), self.cpu_seconds(children)
        wait_for(lambda: time.monotonic() > begun + 1, "a second")
        self.assertLess(self.cpu_seconds(children) - used, 0.5, "it spins")
        for connection in held[:25]:
            connection.close()
        for connection in held[25:]:
            self.assertEqual(connection.read_response().status, 200)
            connection.close()
        self.assertEqual(app.process.output().count("cannot accept connections"), 1)

    @staticmethod
    def cpu_seconds(processes):
        ticks = 0
        for process in processes:
            fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


class Client(threading.Thread):
    """Requests one after the other on kept connections, until no new connection is taken."""

    def __init__(self, port, request):
        super().__init__()
        self.port, self.request = port, request
        self.answered, self.failures = 0, []
        self.start()

    def run(self):
        while True:
            try:
                connection = Connection(self.port)
            except OSError:
                return
            with connection:
                if not self.use(connection):
                    return

    def use(self, connection):
        answered = 0
        while True:
            connection.send(self.request)
            try:
                response = connection.read_response()
            except Ended as ended:
                # What stood unaccepted in the listening socket's queue when that closed was never served.
                if answered:
                    self.failures.append(str(ended))
                return False
            answered += 1
            self.answered += 1
            if response.status != 200:
                self.failures.append(repr(response))
            if response.headers.get("connection") == "close":
                return True


class Drain(ConnectionTest):
    def test_running_requests_are_finished(self):
        app = self.serve()
        with app.connect() as running, app.connect() as idle, app.connect() as probe:
            idle.send(PING)
            self.assertEqual(idle.read_response().status, 200)
            running.send(get("/v1/slow?ms=1500"))
            probe.send(get("/health/live"))
            self.assertEqual(probe.read_response().status, 200)
            self.wait_for_handlers(app, 1)
            app.process.signal(signal.SIGTERM)
            response = running.read_response()
            self.assertEqual((response.status, response.headers["connection"]), (200, "close"))
            self.assertTrue(idle.is_ended())
        self.assertEqual(app.process.wait(), 0)

    def test_a_recent_connection_learns_that_the_process_leaves(self):
        app = self.serve()
        with app.connect() as running, app.connect() as busy, app.connect() as probe:
            running.send(get("/v1/slow?ms=1500"))
            self.wait_for_handlers(app, 1)
            for connection in (busy, probe):
                connection.send(PING)
                self.assertEqual(connection.read_response().status, 200)
            app.process.signal(signal.SIGTERM)
            wait_for(lambda: self.is_told_to_close(busy), "the drain begins")
            probe.send(get("/health/ready"))
            try:
                response = probe.read_response()
            except Ended:
                self.skipTest("too slow a machine: the connection was not recent any more")
            self.assertEqual((response.status, response.json()["status"]), (503, "draining"))
            self.assertEqual(response.headers["connection"], "close")
        self.assertEqual(app.process.wait(), 0)

    @staticmethod
    def is_told_to_close(connection):
        connection.send(PING)
        return connection.read_response().headers.get("connection") == "close"

    def test_no_request_fails_under_load(self):
        app = self.serve()
        clients = [Client(app.port, request) for request in [PING, get("/v1/slow?ms=5")] * 4]
        wait_for(lambda: all(client.answered > 50 for client in clients), "the load runs")
        app.process.signal(signal.SIGTERM)
        for client in clients:
            client.join()
        self.assertEqual([failure for client in clients for failure in client.failures], [])
        self.assertEqual(app.process.wait(), 0)

    def test_the_drain_is_bounded(self):
        app = self.serve(DRAIN_TIMEOUT="1s")
        with app.connect() as running:
            running.send(get("/v1/slow?ms=60000"))
            self.wait_for_handlers(app, 1)
            app.process.signal(signal.SIGTERM)
            with self.assertRaises(Ended):
                running.read_response()
        self.assertEqual(app.process.wait(), 0)


class Locale(ConnectionTest):
    """The application calls setlocale(LC_ALL, ""), as many do."""

    @unittest.skipUnless(shutil.which("localedef") and os.path.exists("/usr/share/i18n/locales/de_DE"),
                         "needs Debian's package locales")
    def test_numbers_have_a_point_in_every_locale(self):
        app = App(binary("test_app"), self.services, WEB_CONCURRENCY=1)
        self.addCleanup(app.stop)
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", app.folder / "de_DE.UTF-8"], check=True,
                       capture_output=True)
        app.environment |= {"LOCPATH": str(app.folder), "LC_ALL": "de_DE.UTF-8",
                            "ASAN_OPTIONS": "detect_leaks=0"}  # glibc never frees what it makes of LOCPATH
        app.command("migrate", "up")
        app.start()
        answer = app.post("/v1/echo", b'{"text":"a","real":1.5}')
        self.assertIn(b'"real":1.5,', answer.body)


del ConnectionTest

if __name__ == "__main__":
    unittest.main()
