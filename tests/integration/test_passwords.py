"""How passwords are kept in the real program: peppers, hashes from elsewhere, and the cap on hashing."""
import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import re
import signal
import struct
import threading
import time
import unittest

from harness import App, Services, binary, wait_for

PASSWORD = "correct horse battery"
KEY_1, KEY_2 = "the first key; of 32 bytes or more", "the second one: 'a colon is part of it'"
# Of "password" with the salt "somesalt", by the command line of the reference implementation.
REFERENCE = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"


def setUpModule():
    Passwords.services = Services()
    unittest.addModuleCleanup(Passwords.services.stop)
    App(binary("prong"), Passwords.services).command("migrate", "up")


class Passwords(unittest.TestCase):
    """What the tests share; no tests of its own."""
    services = None

    def app(self, **settings):
        app = App(binary("prong"), self.services, **{"WEB_CONCURRENCY": 1, "JOB_PROCESSES": 0, **settings})
        self.addCleanup(app.stop)
        return app

    def sign_up(self, app, address):
        self.assertEqual(app.post("/v1/accounts", {"email": address, "password": PASSWORD}).status, 201)

    def sign_in(self, app, address, password=PASSWORD):
        return app.post("/v1/sessions", {"email": address, "password": password})

    def stored(self, address):
        return self.services.sql(f"SELECT password_hash FROM prong_accounts WHERE email_normalised = '{address}'")[0][0]


class Peppers(Passwords):
    def test_a_pepper_comes_and_changes_as_people_sign_in(self):
        address = "pepper@example.com"
        plain = self.app().start()
        self.sign_up(plain, address)
        self.assertTrue(self.stored(address).startswith("$argon2id$"))

        first = self.app(PASSWORD_PEPPERS=f"1:{KEY_1}").start()
        self.assertEqual(self.sign_in(first, address, "wrong password").status, 401)
        self.assertTrue(self.stored(address).startswith("$argon2id$"))
        self.assertEqual(self.sign_in(first, address).status, 201)
        sealed = self.stored(address)
        self.assertRegex(sealed, r"^\$pepper\$v=1\$[A-Za-z0-9+/]+$")
        self.assertEqual(self.sign_in(first, address).status, 201)
        self.assertEqual(self.stored(address), sealed)

        # Without its key nobody signs in by it, and the log says what is missing.
        self.assertEqual(self.sign_in(plain, address).status, 401)
        wait_for(lambda: "sealed under pepper 1, which PASSWORD_PEPPERS does not have" in plain.process.output(),
                 "the log names the missing pepper")

        second = self.app(PASSWORD_PEPPERS=f"1:{KEY_1},2:{KEY_2}").start()
        self.assertEqual(self.sign_in(second, address).status, 201)
        self.assertTrue(self.stored(address).startswith("$pepper$v=2$"))
        self.sign_up(second, "sealed@example.com")
        self.assertTrue(self.stored("sealed@example.com").startswith("$pepper$v=2$"))

        # In another account's row it opens nothing.
        self.services.sql("UPDATE prong_accounts SET password_hash = (SELECT password_hash FROM prong_accounts WHERE"
                          f" email_normalised = '{address}') WHERE email_normalised = 'sealed@example.com'")
        self.assertEqual(self.sign_in(second, "sealed@example.com").status, 401)
        for app in (plain, first, second):
            self.assertNotIn(KEY_1, app.process.output())

    def test_wrong_peppers_are_configuration_errors_that_show_no_key(self):
        for peppers, reason in ((KEY_1, "VERSION:KEY"), (f"0:{KEY_1}", "VERSION:KEY"), ("1:short", "32 bytes"),
                                (f"1:{KEY_1},1:{KEY_2}", "twice"), (f"1:{KEY_1},", "VERSION:KEY")):
            with self.subTest(peppers=peppers):
                done = self.app(PASSWORD_PEPPERS=peppers).command("serve", check=False)
                self.assertEqual(done.returncode, 78, done.stderr)
                self.assertRegex(done.stderr, f"PASSWORD_PEPPERS: .*{reason}")
                self.assertNotIn("first key", done.stdout + done.stderr)
        shown = self.app(PASSWORD_PEPPERS=f"1:{KEY_1}").command("config").stdout
        self.assertIn("PASSWORD_PEPPERS", shown)
        self.assertNotIn("first key", shown)

    def test_a_hash_from_elsewhere_is_made_anew_at_the_first_sign_in(self):
        app = self.app(PASSWORD_PEPPERS=f"1:{KEY_1}").start()
        self.sign_up(app, "import@example.com")
        self.services.sql(f"UPDATE prong_accounts SET password_hash = '{REFERENCE}'"
                          " WHERE email_normalised = 'import@example.com'")
        self.assertEqual(self.sign_in(app, "import@example.com").status, 401)
        self.assertEqual(self.stored("import@example.com"), REFERENCE)
        self.assertEqual(self.sign_in(app, "import@example.com", "password").status, 201)
        self.assertTrue(self.stored("import@example.com").startswith("$pepper$v=1$"))


class Overlaps(Passwords):
    """What happens to an account's row between the look at its hash and the transaction."""

    def row(self, address):
        return f"FROM prong_accounts WHERE email_normalised = '{address}'"

    def attempts(self, address):
        return [result for result, in self.services.sql("SELECT result FROM prong_audit WHERE action = 'sign_in' AND"
                                                        f" account_id = (SELECT id {self.row(address)})")]

    def during(self, address, last, request):
        """The answer to a request during whose transaction another one commits `last`, an assignment to the row."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with self.services.holding(f"SELECT id {self.row(address)} FOR UPDATE",
                                       f"UPDATE prong_accounts SET {last} WHERE email_normalised = '{address}'"):
                asked = pool.submit(request)
                wait_for(self.services.waiting, "it waits for the row")
            return asked.result()

    def test_sign_ins_at_once_are_let_in_though_each_hashes_anew(self):
        for name, change in (("passes", {"PASSWORD_PASSES": 3}), ("pepper", {"PASSWORD_PEPPERS": f"1:{KEY_1}"})):
            address = f"{name}.overlap@example.com"
            self.sign_up(self.app().start(), address)
            before = self.stored(address)
            app = self.app(WEB_CONCURRENCY=2, DATABASE_TRANSACTIONS=8, DATABASE_TIMEOUT="60s", **change).start()
            with self.subTest(changed=name), concurrent.futures.ThreadPoolExecutor(8) as pool:
                with self.services.holding(f"SELECT id {self.row(address)} FOR UPDATE"):
                    asked = [pool.submit(self.sign_in, app, address) for _ in range(8)]
                    wait_for(lambda: self.services.waiting() + sum(one.done() for one in asked) == 8,
                             "all wait for the row, but for whom no permit came free")
                statuses = [one.result().status for one in asked]
                self.assertLessEqual(set(statuses), {201, 503})
                self.assertGreaterEqual(statuses.count(201), 2)
                self.assertEqual(set(self.attempts(address)), {"ok"})
                after = self.stored(address)
                self.assertNotEqual(after, before)
                self.assertEqual(self.sign_in(app, address).status, 201)
                self.assertEqual(self.stored(address), after)

    def test_a_new_password_wins_over_a_sign_in_with_the_old_one(self):
        app = self.app(PASSWORD_PASSES=3).start()
        for name, settings in (("settled", {"PASSWORD_PASSES": 3}), ("stale", {})):
            address = f"{name}.overlap@example.com"
            self.sign_up(self.app(**settings).start(), address)
            with self.subTest(hash=name):
                answer = self.during(address, f"password_hash = '{REFERENCE}', password_changed_at = now()",
                                     lambda: self.sign_in(app, address))
                self.assertEqual((answer.status, answer.json()["code"]), (401, "invalid_credentials"))
                self.assertEqual(self.stored(address), REFERENCE)
                self.assertEqual(self.services.sql("SELECT count(*) FROM prong_sessions WHERE account_id ="
                                                   f" (SELECT id {self.row(address)})"), [["0"]])
                self.assertEqual(self.attempts(address), ["invalid_credentials"])

    def test_a_change_stands_where_the_old_password_was_only_hashed_anew(self):
        app = self.app().start()
        for address, last, status in (
                ("hashed@example.com", f"password_hash = '{REFERENCE}'", 204),
                ("changed@example.com", f"password_hash = '{REFERENCE}', password_changed_at = now()", 409)):
            self.sign_up(app, address)
            token = self.sign_in(app, address).json()["access_token"]
            with self.subTest(address=address):
                answer = self.during(address, last, lambda: app.request(
                    "PUT", "/v1/account/password", {"current_password": PASSWORD, "password": "violet anchor sundial"},
                    token=token))
                self.assertEqual(answer.status, status, answer)
                self.assertEqual(self.stored(address) == REFERENCE, status == 409)


def anonymous_mib(pid):
    """The memory of its own that the process has now."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(re.search(r"^Anonymous:\s+(\d+)", text, re.M)[1]) / 1024


def permits_of(pid):
    """Its descriptors of the permits' memory file: one by itself, and one for each thread that has or wants a permit."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "memfd:prong-permits" in os.readlink(path):
                found.append(path)
    return found


@contextlib.contextmanager
def all_permits_taken(pid, count):
    """Those of the process's tree, by somebody else."""
    with open(permits_of(pid)[0], "r+b", buffering=0) as permits:
        fcntl.fcntl(permits, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, count, 0))
        yield


class Cap(Passwords):
    MEMORY = 96  # MiB of a hash: beside it, what else a process allocates is little

    def flood(self, app, count):
        """That many at once; returns their statuses."""
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return [answer.status for answer in
                    pool.map(lambda _: self.sign_in(app, "nobody@example.com"), range(count))]

    def test_memory_is_bounded_by_the_cap_over_all_processes(self):
        app = self.app(PASSWORD_HASHES=1, PASSWORD_MEMORY=self.MEMORY * 1024, WEB_CONCURRENCY=3).start()
        pids = [pid for title, pid in app.children().items() if "http" in title]
        if len(pids) != 3 or not anonymous_mib(pids[0]):
            self.skipTest("the kernel does not show the children's memory")
        self.sign_in(app, "nobody@example.com")
        idle, peak, ended = sum(map(anonymous_mib, pids)), 0, threading.Event()

        def watch():
            nonlocal peak
            while not ended.is_set():
                peak = max(peak, sum(map(anonymous_mib, pids)))
                time.sleep(0.002)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            statuses = self.flood(app, 24)
        finally:
            ended.set()
            watcher.join()
        self.assertLessEqual(set(statuses), {401, 503})
        self.assertIn(401, statuses)
        # Three threads could hash; what is more than one hash is what the requests themselves take.
        self.assertGreater(peak - idle, self.MEMORY / 2)
        self.assertLess(peak - idle, self.MEMORY * 1.75)

    def test_what_else_computes_does_not_wait_for_permits(self):
        app = self.app(PASSWORD_HASHES=1, THREADS=1).start()
        http = next(pid for title, pid in app.children().items() if "http" in title)

        def weak_sign_up():
            return app.post("/v1/accounts", {"email": "weak@example.com", "password": "password1"}).status

        def overtakes():
            """Whether one whose strength is looked at is answered while sign-ins still wait for their permit."""
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                waiting = [pool.submit(self.sign_in, app, "nobody@example.com") for _ in range(4)]
                wait_for(lambda: len(permits_of(http)) > idle or all(one.done() for one in waiting),
                         "a thread waits for a permit")
                status = weak_sign_up()
                overtaken = not any(one.done() for one in waiting)
            self.assertEqual([one.result().status for one in waiting], [503] * 4)
            self.assertEqual(status, 422)
            return overtaken

        idle = len(permits_of(http))
        with all_permits_taken(http, 1):
            # They wait for a second each, in which a machine may do nothing at all, but not each time.
            self.assertTrue(any(overtakes() for _ in range(10)), "it waited for the sign-ins before it")
        self.assertEqual(self.sign_in(app, "nobody@example.com").status, 401)

    def test_a_process_killed_while_it_hashes_leaks_no_permit(self):
        app = self.app(PASSWORD_HASHES=1, PASSWORD_MEMORY=self.MEMORY * 1024, PASSWORD_PASSES=10).start()
        for _ in range(3):
            pid = wait_for(lambda: next((pid for title, pid in app.children().items() if "http" in title), None),
                           "there is an http process")
            wait_for(app.is_ready, "it is ready")
            before = anonymous_mib(pid)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                lost = pool.submit(self.sign_in, app, "nobody@example.com")
                wait_for(lambda: anonymous_mib(pid) > before + self.MEMORY / 2 or lost.done(), "it hashes")
                os.kill(pid, signal.SIGKILL)
                lost.exception()
            wait_for(lambda: pid not in app.children().values(), "it is gone")
        wait_for(app.is_ready, "its successor is ready")
        self.assertEqual(self.sign_in(app, "nobody@example.com").status, 401)


if __name__ == "__main__":
    unittest.main()
