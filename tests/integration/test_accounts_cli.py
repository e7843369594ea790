"""The command `accounts`: who there is, who may come in, and who may do what."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import termios
import threading
import time
import unittest

from accounts_case import PASSWORD, AccountsCase
from harness import DEADLINE, App, binary, wait_for

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + "A" * 43  # of nothing that is known
KEYS = "/v1/account/api-keys"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, app, *arguments):
        self.master, slave = pty.openpty()
        self.shown = ""
        self.process = subprocess.Popen([str(app.program), *arguments], stdin=slave, stdout=slave, stderr=slave,
                                        env=app.environment, cwd=app.folder, start_new_session=True,
                                        preexec_fn=lambda: os.close(os.open(os.ttyname(slave), os.O_RDWR)))
        os.close(slave)

    def read_until(self, text):
        deadline = time.monotonic() + DEADLINE
        while text not in self.shown:
            ready, _, _ = select.select([self.master], [], [], deadline - time.monotonic())
            assert ready, f"{text!r} did not come: {self.shown!r}"
            try:
                self.shown += os.read(self.master, 4096).decode()
            except OSError:  # the other end is closed
                break
        assert text in self.shown, self.shown

    def write(self, text):
        os.write(self.master, text.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def end(self):
        status = self.process.wait(DEADLINE)
        try:
            while select.select([self.master], [], [], 0)[0]:
                data = os.read(self.master, 4096)
                if not data:
                    break
                self.shown += data.decode()
        except OSError:
            pass
        os.close(self.master)
        return status


def setUpModule():
    Accounts.serve("test_app", WEB_CONCURRENCY=2)


class Accounts(AccountsCase):
    # ---- helpers ----

    def accounts(self, *arguments, **options):
        return self.app.command("accounts", *arguments, **options)

    def read(self, *arguments, **options):
        return json.loads(self.accounts(*arguments, "--json", **options).stdout)

    def create(self, address, *options, password=PASSWORD):
        return self.read("create", address, *options, given=password + "\n")

    def make_key(self, token, **members):
        response = self.app.post(KEYS, {"name": "machine"} | members, token=token)
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]

    def assert_mistake(self, arguments, status, text, **options):
        done = self.accounts(*arguments, check=False, **options)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertIn(text, done.stderr)
        return done

    def assert_in(self, credential):
        """In whichever process serves it."""
        for _ in range(8):
            self.assertEqual(self.app.get("/v1/private", token=credential).status, 200)

    def assert_out(self, credential):
        wait_for(lambda: self.app.get("/v1/private", token=credential).status == 401, "one process refuses it")
        wait_for(lambda: all(self.app.get("/v1/private", token=credential).status == 401 for _ in range(8)),
                 "all processes refuse it")

    def events(self, account):
        return [(event["actor"], event["action"]) for event in self.read("audit", account)]

    # ---- create ----

    def test_a_made_account_signs_in(self):
        done = self.accounts("create", "Made@example.com", "--name", "Mäde", "--verified", "--scope", "admin,billing",
                             given=PASSWORD + "\n")
        self.assertRegex(done.stdout, r"\AMade@example.com is created: [0-9a-f-]{36}\n\Z")
        shown = self.read("show", "made@EXAMPLE.com")
        self.assertEqual((shown["email"], shown["name"], shown["scopes"], shown["state"]),
                         ("Made@example.com", "Mäde", ["admin", "billing"], "active"))
        self.assertIsNotNone(shown["email_verified_at"])
        self.assertEqual(self.events("made@example.com"), [("command line", "account.create")])
        token = self.token("made@example.com")
        self.assertEqual(self.app.get("/v1/scopes", token=token).json(), {"admin": True, "billing": True})
        self.assertIsNone(self.create("plain@example.com")["email_verified_at"])

    def test_the_first_line_is_the_password(self):
        self.create("line@example.com", password=f"  {PASSWORD} \nand more")
        self.session("line@example.com", f"  {PASSWORD} ")
        done = self.accounts("create", "end@example.com", given=PASSWORD)  # no end of line
        self.assertEqual(done.returncode, 0)
        self.session("end@example.com")

    def test_what_is_no_password_makes_no_account(self):
        for given, text in (("", "has no line with the password"), ("\n", "at least 8 bytes"),
                            ("short\n", "at least 8 bytes"), ("password1\n", "easy to guess"), ("a\0bcdefghijk\n", "NUL"),
                            ("no.account@example.com\n", "easy to guess"), ("x" * 1025 + "\n", "at most 1024"),
                            ("x" * 100000, "longer than any")):
            self.assert_mistake(["create", "no.account@example.com"], 1, text, given=given)
        self.assert_mistake(["show", "no.account@example.com"], 1, "there is no account no.account@example.com")

    def test_where_only_proven_addresses_sign_in_it_says_so(self):
        for arguments, said in ((["unproven@example.com"], True), (["proven@example.com", "--verified"], False)):
            done = self.accounts("create", *arguments, given=PASSWORD, SIGN_UP="private")
            self.assertIn("is created", done.stdout)
            self.assertEqual("SIGN_UP is private" in done.stderr, said, done.stderr)

    def test_an_address_is_taken_once(self):
        self.create("twice@example.com")
        self.assert_mistake(["create", "TWICE@example.com"], 1, "there is an account TWICE@example.com already",
                            given=PASSWORD)

    def test_a_hash_from_elsewhere_is_taken(self):
        self.create("origin@example.com")
        stored = self.services.sql("SELECT password_hash FROM prong_accounts WHERE email = 'origin@example.com'")[0][0]
        self.create("hashed@example.com", "--password-hash", password=stored)
        self.session("hashed@example.com")
        for given, text in (("$2b$12$abcdefghijklmnopqrstuv", "the hash is not taken"), ("secret", "the hash is not taken"),
                            (stored.replace("p=1", "p=4"), "p=1"), (stored.replace("t=2", "t=99"), "the hash is not taken"),
                            ("", "no line with the password hash")):
            self.assert_mistake(["create", "other@example.com", "--password-hash"], 1, text, given=given)

    def test_wrong_arguments_of_create(self):
        for arguments, text in (([], "name the address"), (["nobody"], "is no address"), (["a@b@c"], "is no address"),
                                (["ä@example.com"], "is no address"),
                                (["a@example.com", "--scope", "a,,b"], "is no scope"),
                                (["a@example.com", "--scope", "a b"], "is no scope"),
                                (["a@example.com", "--name", " "], "--name: The name is blank"),
                                (["a@example.com", "--name", "x" * 201], "more than 200"),
                                (["a@example.com", "secret"], "one argument too many"),
                                (["a@example.com", "--password", "secret"], "unknown option '--password'")):
            self.assert_mistake(["create", *arguments], 64, text, given=PASSWORD)

    # ---- the terminal ----

    def test_a_password_is_not_shown_on_the_terminal(self):
        terminal = Terminal(self.app, "accounts", "create", "typed@example.com")
        terminal.read_until("Password: ")
        self.assertFalse(terminal.echoes())
        terminal.write(PASSWORD + "\n")
        terminal.read_until("Password, again: ")
        self.assertFalse(terminal.echoes())
        seen = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        self.assertIn("accounts create typed@example.com", seen)
        self.assertNotIn(PASSWORD, seen)
        environment = pathlib.Path(f"/proc/{terminal.process.pid}/environ").read_bytes()
        self.assertNotIn(PASSWORD.encode(), environment)
        terminal.write(PASSWORD + "\n")
        terminal.read_until("is created")
        self.assertEqual(terminal.end(), 0)
        self.assertNotIn(PASSWORD, terminal.shown)
        self.session("typed@example.com")

    def test_two_that_differ_make_no_account(self):
        terminal = Terminal(self.app, "accounts", "create", "mistyped@example.com")
        terminal.read_until("Password: ")
        terminal.write(PASSWORD + "\n")
        terminal.read_until("Password, again: ")
        terminal.write(PASSWORD + "!\n")
        terminal.read_until("the two are not the same")
        self.assertEqual(terminal.end(), 1)
        self.assert_mistake(["show", "mistyped@example.com"], 1, "there is no account")

    def test_whoever_interrupts_has_their_terminal_back(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            terminal = Terminal(self.app, "accounts", "create", "stopped@example.com")
            terminal.read_until("Password: ")
            self.assertFalse(terminal.echoes())
            terminal.process.send_signal(number)
            self.assertEqual(terminal.process.wait(DEADLINE), -number)
            self.assertTrue(terminal.echoes())
            terminal.end()

    # ---- ls, show ----

    def test_accounts_are_listed_and_shown(self):
        self.create("seen@example.com", "--scope", "seen", "--name", "A name")
        listed = self.read("ls", "--scope", "seen")
        self.assertEqual([set(row) for row in listed],
                         [{"id", "email", "name", "scopes", "state", "verified", "created_at"}])
        self.assertEqual((listed[0]["scopes"], listed[0]["verified"], listed[0]["state"]), (["seen"], False, "active"))
        session = self.session("seen@example.com")
        self.make_key(session["access_token"], scopes=["seen"])
        for name in ("seen@example.com", listed[0]["id"]):
            shown = self.read("show", name)
            self.assertEqual(shown["id"], listed[0]["id"])
            self.assertEqual([row["id"] for row in shown["sessions"]], [session["session_id"]])
            self.assertEqual([(row["name"], row["scopes"]) for row in shown["api_keys"]], [("machine", ["seen"])])
            self.assertIn("api_key.create", [row["action"] for row in shown["audit"]])
            self.assertNotIn("password_hash", shown)
        text = self.accounts("show", "seen@example.com").stdout
        for part in ("scopes               seen\n", "\nSessions:\nID ", "\nAPI keys:\nID ",
                     "\nThe last of the audit log:\nAT "):
            self.assertIn(part, text)
        self.assertNotIn("argon2", text + json.dumps(shown))
        self.assertEqual(self.accounts("ls", "--scope", "unheard-of").stdout, "No accounts.\n")

    def test_an_account_that_is_not_there(self):
        for arguments in (["show"], ["disable"], ["enable"], ["delete", "--yes"], ["sessions"], ["audit"],
                          ["revoke", "--sessions"]):
            self.assert_mistake([arguments[0], "nobody@example.com", *arguments[1:]], 1,
                                "there is no account nobody@example.com")
            self.assert_mistake([arguments[0], "nobody", *arguments[1:]], 64, "is no address and no id")
            if arguments[0] != "audit":
                self.assert_mistake(arguments, 64, "name the account")
        unknown = "0190f7a1-6a5c-7d2e-8f3b-0123456789ab"
        self.assert_mistake(["show", unknown], 1, f"there is no account {unknown}")
        self.assertEqual(self.accounts("audit", unknown).stdout, "Nothing.\n")

    # ---- disable, enable ----

    def test_a_disabled_account_is_out_everywhere_at_once(self):
        account = self.create("out@example.com")
        session = self.session("out@example.com")
        key = self.make_key(session["access_token"])
        self.assert_in(session["access_token"])
        self.assert_in(key)

        done = self.accounts("disable", "out@example.com", "--reason", "a chargeback")
        self.assertEqual(done.stdout, "out@example.com is disabled; 1 session ended\n")
        self.assertEqual(done.stderr, "")
        self.assert_out(session["access_token"])
        self.assert_out(key)
        refused = self.app.post("/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})
        self.assertEqual(refused.status, 401, refused)
        self.assert_problem(self.sign_in("out@example.com"), 403, "account_disabled")
        self.assert_problem(self.sign_in("out@example.com", "wrong password"), 401, "invalid_credentials")
        shown = self.read("show", account["id"])
        self.assertEqual((shown["state"], shown["sessions"], len(shown["api_keys"])), ("disabled", [], 1))
        self.assertIn(account["id"], [row["id"] for row in self.read("ls", "--disabled")])
        self.assertEqual(self.accounts("disable", "out@example.com").stdout,
                         "out@example.com was disabled; 0 sessions ended\n")

        self.assertEqual(self.accounts("enable", "out@example.com").stdout, "out@example.com may sign in again\n")
        self.assertEqual(self.accounts("enable", "out@example.com").stdout, "out@example.com is not disabled\n")
        self.assert_in(self.token("out@example.com"))
        self.assert_in(key)
        self.assert_out(session["access_token"])
        refused = self.app.post("/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})
        self.assertEqual(refused.status, 401, refused)
        ours = [event for event in self.read("audit", account["id"]) if event["actor"] == "command line"]
        self.assertEqual([event["action"] for event in ours],
                         ["account.enable", "account.disable", "account.disable", "account.create"])
        self.assertEqual(ours[2]["detail"], {"reason": "a chargeback"})

    def test_to_disable_and_enable_in_turn_leaves_it_as_it_should_be(self):
        self.create("turns@example.com")
        key = self.make_key(self.token("turns@example.com"))
        for _ in range(3):
            self.assert_in(key)
            self.accounts("disable", "turns@example.com")
            self.assert_out(key)
            self.accounts("enable", "turns@example.com")
        self.assert_in(key)

    def test_no_session_slips_in_while_it_is_disabled(self):
        account = self.create("race@example.com")
        given, over = [], threading.Event()

        def come_in():
            session = None
            while not over.is_set():
                if session:
                    answer = self.app.post("/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})
                else:
                    answer = self.app.post("/v1/sessions", {"email": "race@example.com", "password": PASSWORD})
                session = answer.json() if answer.status in (200, 201) else None
                if session:
                    given.append(session)

        threads = [threading.Thread(target=come_in) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(given) > 50, "sessions begin and go on")
        self.accounts("disable", "race@example.com")
        before = len(given)
        over.set()
        for thread in threads:
            thread.join()
        self.assertEqual(self.services.sql("SELECT count(*) FROM prong_sessions WHERE revoked_at IS NULL"
                                           f" AND account_id = '{account['id']}'"), [["0"]])
        self.accounts("enable", "race@example.com")
        for session in given:
            self.assert_out(session["access_token"])
        for session in given[before - 20:]:
            answer = self.app.post("/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})
            self.assertIn(answer.status, (401, 429), answer)

    def test_its_owner_is_told(self):
        self.create("told@example.com")
        self.accounts("disable", "told@example.com")
        mails = pathlib.Path(self.app.folder) / "mail"
        wait_for(lambda: any("told@example.com" in path.read_text(errors="replace")
                             for path in mails.rglob("*") if path.is_file()), "the mail is there")

    # ---- delete ----

    def test_delete_says_first_what_it_would_do(self):
        account = self.create("gone@example.com")
        session = self.session("gone@example.com")
        key = self.make_key(session["access_token"])
        self.assert_mistake(["delete", "gone@example.com"], 64,
                            "this would delete gone@example.com for ever, with 1 session, 1 API key and what the "
                            "application keeps of it; give --yes to do it")
        self.assert_in(key)

        self.assertEqual(self.read("delete", "gone@example.com", "--yes")["state"], "deleted")
        self.assert_out(session["access_token"])
        self.assert_out(key)
        self.assertEqual(self.sign_in("gone@example.com").status, 401)
        self.assert_mistake(["show", account["id"]], 1, "there is no account")
        events = self.read("audit", account["id"])
        self.assertEqual((events[0]["action"], events[0]["actor"]), ("account.delete", "command line"))
        self.create("gone@example.com")
        self.assert_in(self.token("gone@example.com"))

    def test_what_the_application_holds_on_to_stays(self):
        account = self.create("held@example.com")
        token = self.token("held@example.com")
        self.services.sql("CREATE TABLE invoices (account_id uuid REFERENCES prong_accounts);"
                          f" INSERT INTO invoices VALUES ('{account['id']}')")
        self.assert_mistake(["delete", "held@example.com", "--yes"], 1, "rows of the application hold it")
        self.assert_in(token)
        self.assertNotIn(("command line", "account.delete"), self.events("held@example.com"))

    # ---- grant, revoke ----

    def test_a_scope_is_had_or_lost_at_once(self):
        self.create("scoped@example.com")
        session = self.session("scoped@example.com")
        self.accounts("grant", "scoped@example.com", "billing")
        self.assert_out(session["access_token"])
        token = self.session("scoped@example.com")["access_token"]
        self.assertTrue(self.app.get("/v1/scopes", token=token).json()["billing"])
        key = self.make_key(token, scopes=["billing"])
        self.assertTrue(self.app.get("/v1/scopes", token=key).json()["billing"])

        self.accounts("grant", "scoped@example.com", "billing")  # has it already: nothing is void
        self.assert_in(token)
        self.assertEqual(self.read("revoke", "scoped@example.com", "billing")["scopes"], [])
        self.assert_out(token)
        wait_for(lambda: not any(self.app.get("/v1/scopes", token=key).json()["billing"] for _ in range(8)),
                 "the key has lost it too")
        self.assert_in(key)
        self.assertEqual([event for event in self.events("scoped@example.com") if event[0] == "command line"],
                         [("command line", "scope.revoke"), ("command line", "scope.grant"),
                          ("command line", "account.create")])

    def test_sessions_end(self):
        self.create("many@example.com")
        sessions = [self.session("many@example.com") for _ in range(3)]
        listed = self.read("sessions", "many@example.com")
        self.assertEqual({row["id"] for row in listed}, {session["session_id"] for session in sessions})
        self.assertEqual(set(listed[0]),
                         {"id", "device", "address", "cookie", "created_at", "used_at", "expires_at"})
        self.assertEqual(self.accounts("revoke", "many@example.com", "--session", sessions[0]["session_id"]).stdout,
                         "The session of many@example.com has ended\n")
        self.assert_out(sessions[0]["access_token"])
        self.assert_in(sessions[1]["access_token"])
        self.assertEqual(self.accounts("revoke", "many@example.com", "--sessions").stdout,
                         "2 sessions of many@example.com ended\n")
        for session in sessions:
            self.assert_out(session["access_token"])
            response = self.app.post("/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})
            self.assertEqual(response.status, 401, response)
        self.assertEqual(self.accounts("sessions", "many@example.com").stdout, "No sessions.\n")

        self.create("other@example.org")
        self.assert_mistake(["revoke", "other@example.org", "--session", sessions[0]["session_id"]], 1,
                            "other@example.org has no session")
        for arguments in (["--sessions", "--session", sessions[0]["session_id"]], ["admin", "--sessions"], []):
            self.assert_mistake(["revoke", "other@example.org", *arguments], 64, "name the account and what to take")
        self.assert_mistake(["revoke", "other@example.org", "--session", "x"], 64, "is no id of a session")

    # ---- import ----

    def test_good_lines_are_imported_and_bad_ones_told(self):
        self.create("source@example.com")
        stored = self.services.sql("SELECT password_hash FROM prong_accounts WHERE email = 'source@example.com'")[0][0]
        good = {"email": "Im.port@example.com", "password_hash": stored, "name": "Im Port", "email_verified": True,
                "scopes": ["b", "a", "b"]}
        lines = [json.dumps(good), "", json.dumps({"email": "bare@example.com", "password_hash": stored}),
                 "{", "[]", json.dumps(good | {"email": "nobody"}), json.dumps({"email": "x@example.com"}),
                 json.dumps({"email": "x@example.com", "password_hash": "$2b$12$abcdefghijklmnopqrstuv"}),
                 json.dumps({"email": "x@example.com", "password_hash": stored.replace("p=1", "p=4")}),
                 json.dumps({"email": "x@example.com", "password_hash": stored, "admin": True}),
                 json.dumps({"email": "x@example.com", "password_hash": stored, "scopes": ["a b"]}),
                 json.dumps({"email": "x@example.com", "password_hash": stored, "scopes": ["x" * 64] * 20}),
                 json.dumps({"email": "x@example.com", "password_hash": stored, "name": "\u202e"}),
                 json.dumps({"email": "x@example.com", "password_hash": stored, "name": "y" * 70000}),
                 json.dumps({"email": "IM.PORT@example.com", "password_hash": stored})]
        done = self.accounts("import", given="\n".join(lines), check=False)
        self.assertEqual((done.returncode, done.stdout), (1, "Imported: 2; there already: 1; bad: 11\n"), done.stderr)
        self.assertNotIn(stored, done.stderr)
        told = dict(re.findall(r"^test_app: line (\d+): (.*)$", done.stderr, re.MULTILINE))
        self.assertEqual(sorted(told, key=int), [str(number) for number in range(4, 16)])
        for number, text in ((6, "/email"), (7, "/password_hash"), (8, "/password_hash"), (9, "p=1"), (10, "/admin"),
                             (11, "/scopes"), (12, "/scopes: these are too many"), (13, "/name"),
                             (14, "longer than any"), (15, "there is an account IM.PORT@example.com already")):
            self.assertIn(text, told[str(number)])
        self.session("im.port@example.com")
        shown = self.read("show", "im.port@example.com")
        self.assertEqual((shown["email"], shown["name"], shown["scopes"]),
                         ("Im.port@example.com", "Im Port", ["a", "b"]))
        self.assertIsNotNone(shown["email_verified_at"])
        self.assertIn(("command line", "account.import"), self.events("im.port@example.com"))
        self.assertIsNone(self.read("show", "bare@example.com")["email_verified_at"])

        again = self.read("import", given="\n".join([lines[0], lines[2]]))
        self.assertEqual(again, {"imported": 0, "existing": 2, "bad": 0, "costly": 0})

    def test_what_imported_hashes_cost_is_told(self):
        def lines(*addresses):
            return "\n".join(json.dumps({"email": address, "password_hash": HASH.replace("m=8", f"m={memory}")})
                             for address, memory in addresses)
        first = self.accounts("import", given=lines(("cheap@example.com", 19456), ("dear@example.com", 19457),
                                                    ("dearest@example.com", 200000)))
        self.assertEqual(first.stdout, "Imported: 3; there already: 0; bad: 0\n")
        self.assertIn("2 of the hashes take more memory than PASSWORD_MEMORY, up to 200000 KiB", first.stderr)
        second = self.accounts("import", "--json", given=lines(("dearest@example.com", 200000), ("new@example.com", 65536)))
        self.assertEqual(json.loads(second.stdout), {"imported": 1, "existing": 1, "bad": 0, "costly": 1})
        self.assertIn("1 of the hashes", second.stderr)
        third = self.accounts("import", given=lines(("other@example.com", 65536)), PASSWORD_MEMORY=65536)
        self.assertNotIn("PASSWORD_MEMORY", third.stderr)

    def test_an_import_is_larger_than_its_transactions(self):
        self.create("bulk@example.com")
        stored = self.services.sql("SELECT password_hash FROM prong_accounts WHERE email = 'bulk@example.com'")[0][0]
        lines = [json.dumps({"email": f"bulk{number}@example.net", "password_hash": stored}) for number in range(1200)]
        lines.insert(700, "nonsense")
        done = self.accounts("import", "--json", given="\n".join(lines) + "\n", check=False)
        self.assertEqual((done.returncode, json.loads(done.stdout)),
                         (1, {"imported": 1200, "existing": 0, "bad": 1, "costly": 0}))
        self.assertIn("line 701: ", done.stderr)
        self.assertEqual(self.services.sql("SELECT count(*) FROM prong_accounts WHERE email LIKE 'bulk%@example.net'"),
                         [["1200"]])
        self.session("bulk1199@example.net")

    def test_peppers_are_put_around_what_is_made_and_imported(self):
        self.create("unpeppered@example.com")
        stored = self.services.sql("SELECT password_hash FROM prong_accounts WHERE email = 'unpeppered@example.com'")
        peppers = {"PASSWORD_PEPPERS": "1:" + "a pepper of the tests, 32 bytes or more".encode().hex()}
        app = App(binary("test_app"), self.services, WEB_CONCURRENCY=1, JOB_PROCESSES=0, **peppers)
        self.addCleanup(app.stop)
        app.start()
        self.accounts("create", "made.peppered@example.com", given=PASSWORD, **peppers)
        self.accounts("create", "hash.peppered@example.com", "--password-hash", given=stored[0][0], **peppers)
        self.accounts("import", **peppers,
                      given=json.dumps({"email": "line.peppered@example.com", "password_hash": stored[0][0]}))
        for name in ("made", "hash", "line"):
            response = app.post("/v1/sessions", {"email": f"{name}.peppered@example.com", "password": PASSWORD})
            self.assertEqual(response.status, 201, response)
        plain = self.services.sql("SELECT count(*) FROM prong_accounts WHERE email LIKE '%.peppered@example.com'"
                                  " AND password_hash LIKE '$argon2id$%'")
        self.assertEqual(plain, [["0"]])

    # ---- audit ----

    def test_the_audit_log_is_read(self):
        account = self.create("audited@example.com")
        self.assertEqual(self.sign_in("audited@example.com", "wrong password").status, 401)
        self.accounts("grant", "audited@example.com", "billing")
        events = self.read("audit", "audited@example.com")
        self.assertEqual(set(events[0]), {"at", "account_id", "email", "actor", "action", "result", "address",
                                          "device", "detail"})
        self.assertEqual((events[0]["action"], events[0]["detail"], events[0]["account_id"], events[0]["result"]),
                         ("scope.grant", {"scope": "billing"}, account["id"], "ok"))
        self.assertEqual(len(self.read("audit", "--limit", "1")), 1)
        text = self.accounts("audit", "audited@example.com").stdout
        self.assertRegex(text, r"\AAT +ACCOUNT +ACTOR +ACTION +RESULT +ADDRESS +DETAIL\n"
                               r"\S+Z +audited@example.com +command line +scope.grant +ok ")
        self.assert_mistake(["audit", "--limit", "0"], 64, "from 1 to")

    # ---- what is away ----

    def test_without_redis_it_works_and_says_what_is_late(self):
        self.create("late@example.com")
        for settings, text in (({"REDIS_URL": "unix:///nowhere/redis.sock"}, "Redis of REDIS_URL cannot be reached"),
                               ({"REDIS_URL": ""}, "REDIS_URL is not set")):
            token = self.token("late@example.com")
            done = self.accounts("disable", "late@example.com", **settings)
            self.assertEqual(done.stdout, "late@example.com is disabled; 1 session ended\n")
            self.assertIn(f"{text}: servers that run notice within ten seconds", done.stderr)
            self.assert_out(token)
            done = self.accounts("enable", "late@example.com", **settings)
            self.assertNotIn("ten seconds", done.stderr)

    def test_without_postgresql_it_is_unavailable(self):
        for arguments in (["ls"], ["show", "a@example.com"], ["disable", "a@example.com"], ["create", "a@example.com"],
                          ["import"]):
            given = '{"email": "a@example.com", "password_hash": ' + json.dumps(HASH) + "}\n"
            done = self.accounts(*arguments, check=False, given=PASSWORD if arguments[0] == "create" else given,
                                 DATABASE_URL="postgresql:///x?host=/nowhere")
            self.assertEqual(done.returncode, 69, done.stderr)
            self.assertIn("DATABASE_URL: PostgreSQL cannot be reached", done.stderr)

    def test_verbs_are_named(self):
        self.assert_mistake([], 64, "what is to be done is missing; there are ls, show, create")
        self.assert_mistake(["remove"], 64, "there is no accounts remove; there are ls")
        self.assertIn("accounts revoke ada@example.com --sessions", self.accounts("--help").stdout)


if __name__ == "__main__":
    unittest.main()
