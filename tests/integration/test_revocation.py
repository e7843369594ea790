"""A revocation reaches every http process of every host: through Redis in milliseconds, through PostgreSQL without it.

Two process trees on the same services stand for two hosts. A connection stays with the process that accepted it, so the
tests keep one to each process and ask there whether a token is taken.
"""
import json
import os
import signal
import sys
import time
import unittest
import uuid

from harness import DEADLINE, App, Services, binary, wait_for

PASSWORD = "violet teapot orbit 9"
PROCESSES = 4
ROUNDS = 25
PUSHED = 6.0  # seconds: long for the feed, too short for processes that look in PostgreSQL every ten


class Revocation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        cls.first = cls.new_app()
        cls.first.command("migrate", "up")
        cls.apps = [cls.first.start()]
        cls.apps.append(cls.new_app(PUBLIC_URL=f"http://127.0.0.1:{cls.first.port}").start())

    @classmethod
    def new_app(cls, **settings):
        app = App(binary("prong"), cls.services, WEB_CONCURRENCY=PROCESSES, PASSWORD_HASHES=2, IDLE_TIMEOUT="10m",
                  **settings)
        cls.addClassCleanup(app.stop)
        return app

    def setUp(self):
        self.address = f"{uuid.uuid4()}@example.com"
        self.first.post("/v1/accounts", {"email": self.address, "password": PASSWORD})
        self.connections = [connection for app in self.apps for connection in self.connect_to_all(app)]

    def connect_to_all(self, app):
        """A connection to each http process of the application."""
        found, spare = {}, []
        self.addCleanup(lambda: [connection.close() for connection in [*found.values(), *spare]])

        def connected():
            connection, name = app.connect(), uuid.uuid4().hex
            self.ask(connection, "GET", "/v1/account", request_id=name)
            process = wait_for(lambda: self.process_of(app, name), "the log has the request")
            (spare.append(connection) if process in found else found.update({process: connection}))
            return len(found) == PROCESSES
        wait_for(connected, "each process has accepted a connection")
        return list(found.values())

    @staticmethod
    def process_of(app, request_id):
        for line in reversed(app.process.lines):
            if request_id in line:
                return json.loads(line)["process.name"]
        return None

    @staticmethod
    def ask(connection, method, path, token=None, request_id=None):
        lines = [f"{method} {path} HTTP/1.1", "Host: x"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        if request_id:
            lines.append(f"X-Request-Id: {request_id}")
        connection.deadline = time.monotonic() + DEADLINE
        connection.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        return connection.read_response(method)

    def sign_in(self):
        response = self.first.post("/v1/sessions", {"email": self.address, "password": PASSWORD})
        self.assertEqual(response.status, 201, response)
        return response.json()["access_token"]

    def accepting(self, token):
        return [connection for connection in self.connections
                if self.ask(connection, "GET", "/v1/account", token).status == 200]

    def revoke(self, token):
        response = self.ask(self.connections[0], "DELETE", "/v1/sessions/current", token)
        self.assertEqual(response.status, 204, response)

    def time_until_refused(self, token, at_most=DEADLINE):
        """Seconds from the answer to the sign-out until no process takes the token."""
        self.assertEqual(len(self.accepting(token)), 2 * PROCESSES)
        self.revoke(token)
        began = time.monotonic()
        wait_for(lambda: not self.accepting(token), "all processes refuse the token", at_most)
        return time.monotonic() - began

    def report(self, what, times):
        times = sorted(times)
        print(f"revocation, {what}: until all of {2 * PROCESSES} processes refuse, asked one after the other:"
              f" median {times[len(times) // 2] * 1000:.1f} ms, p99 {times[int(len(times) * 0.99)] * 1000:.1f} ms",
              file=sys.stderr)

    def test_all_processes_hear_of_it_at_once(self):
        self.report("Redis up", [self.time_until_refused(self.sign_in(), PUSHED) for _ in range(ROUNDS)])

    def test_the_process_that_revokes_refuses_at_once(self):
        for _ in range(5):
            token = self.sign_in()
            self.revoke(token)
            self.assertEqual(self.ask(self.connections[0], "GET", "/v1/account", token).status, 401)

    def test_without_redis_postgresql_tells(self):
        tokens = [self.sign_in() for _ in range(5)]
        self.services.redis.kill()
        try:
            self.report("Redis killed", [self.time_until_refused(token) for token in tokens[:3]])
        finally:
            self.services.start_redis()
        self.report("Redis back", [self.time_until_refused(token) for token in tokens[3:]])

    def test_a_redis_that_says_nothing_is_as_good_as_none(self):
        tokens = [self.sign_in() for _ in range(4)]
        self.services.redis.signal(signal.SIGSTOP)
        try:
            self.report("Redis silent", [self.time_until_refused(token) for token in tokens])
        finally:
            self.services.redis.signal(signal.SIGCONT)

    def test_an_emptied_redis_carries_on(self):
        for command in (("FLUSHALL",), ("DEL", "prong:{security}"), ("XTRIM", "prong:{security}", "MAXLEN", "0")):
            with self.subTest(command):
                token = self.sign_in()
                self.services.redis_command(*command)
                self.report(" ".join(command), [self.time_until_refused(token)])

    def test_a_stream_by_an_earlier_clock_is_noticed(self):
        self.time_until_refused(self.sign_in())  # something has been read
        self.services.redis_command("DEL", "prong:{security}")
        self.services.redis_command("XADD", "prong:{security}", "1-1", "nothing", "x")
        self.services.redis_command("XSETID", "prong:{security}", "1-1")
        self.report("stream replaced", [self.time_until_refused(self.sign_in()) for _ in range(3)])

    def test_what_was_not_published_is_found(self):
        token = self.sign_in()
        self.services.sql("INSERT INTO prong_revocations (subject) SELECT id FROM prong_sessions WHERE account_id ="
                          f" (SELECT id FROM prong_accounts WHERE email = '{self.address}')")
        wait_for(lambda: not self.accepting(token), "PostgreSQL is asked now and then")

    def test_a_process_that_was_stopped_catches_up(self):
        token = self.sign_in()
        stopped = [pid for name, pid in self.apps[1].children().items() if "http" in name]
        self.assertEqual(len(stopped), PROCESSES)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.revoke(token)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        wait_for(lambda: not self.accepting(token), "all processes refuse the token")

    def test_a_new_process_knows_what_was_revoked_before(self):
        token = self.sign_in()
        self.time_until_refused(token)
        late = self.new_app(PUBLIC_URL=f"http://127.0.0.1:{self.first.port}").start()
        self.assertEqual(late.get("/v1/account", token=token).status, 401)
        self.assertEqual(late.get("/v1/account", token=self.sign_in()).status, 200)

    def test_a_new_epoch_voids_tokens_but_not_sessions(self):
        session = self.first.post("/v1/sessions", {"email": self.address, "password": PASSWORD}).json()
        account = session["account"]["id"]
        self.services.sql(f"UPDATE prong_accounts SET epoch = 7 WHERE id = '{account}';"
                          f" INSERT INTO prong_revocations (subject, epoch) VALUES ('{account}', 7)")
        wait_for(lambda: not self.accepting(session["access_token"]), "the token is void")
        response = self.first.post("/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})
        self.assertEqual(len(self.accepting(response.json()["access_token"])), 2 * PROCESSES)


if __name__ == "__main__":
    unittest.main()
