"""Sign-up as SIGN_UP says, and the proof that an address is its account's, in the real program."""
import concurrent.futures
import email
import email.policy
import pathlib
import re
import shutil
import tempfile
import unittest

from accounts_case import PASSWORD, AccountsCase, without_identity
from harness import App, Services, binary, wait_for



def setUpModule():
    SignUp.services = Services()
    unittest.addModuleCleanup(SignUp.services.stop)
    SignUp.mail_dir = pathlib.Path(tempfile.mkdtemp(prefix="prong-mail-"))
    unittest.addModuleCleanup(shutil.rmtree, SignUp.mail_dir)
    for name, app in (("app", SignUp.make_app()), ("private", SignUp.make_app(SIGN_UP="private"))):
        setattr(SignUp, name, app)
        unittest.addModuleCleanup(app.stop)
    SignUp.app.command("migrate", "up")
    SignUp.app.start()
    SignUp.private.start()


class SignUp(AccountsCase):
    """What the tests share; no tests of its own."""
    private = mail_dir = None

    @classmethod
    def make_app(cls, **settings):
        """They share the queues, so the mailbox too: a mail is sent by whose worker comes first."""
        return App(binary("prong"), cls.services, PASSWORD_HASHES=2, MAIL_DIR=cls.mail_dir, **settings)

    def other_app(self, **settings):
        app = self.make_app(**settings)
        self.addCleanup(app.stop)
        return app.start()

    def verify(self, token, app=None):
        return (app or self.app).post("/v1/accounts/verify", {"token": token})

    def assert_field(self, response, pointer, code):
        self.assertEqual(response.status, 422, response)
        self.assertEqual([(error["pointer"], error["code"]) for error in response.json()["errors"]], [(pointer, code)])

    def stored(self, address, columns):
        rows = self.services.sql(f"SELECT {columns} FROM prong_accounts WHERE email_normalised = '{address}'")
        return rows[0] if rows else None

    def mails(self, address):
        """Those that were delivered to the address, the first first."""
        paths = sorted(self.mail_dir.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        mails = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]
        return [mail for mail in mails if mail["To"] == address]

    def wait_for_mails(self, address, number=1):
        return wait_for(lambda: len(found := self.mails(address)) >= number and found,
                        f"{number} mails to {address} are delivered")

    def secret(self, address, number=1):
        text = self.wait_for_mails(address, number)[number - 1].get_content()
        return re.search(r"/verify#token=([\w-]{43})\b", text)[1]

    def audit(self, address):
        return self.services.sql("SELECT actor = account_id::text, action, result FROM prong_audit WHERE account_id ="
                                 f" (SELECT id FROM prong_accounts WHERE email_normalised = '{address}') ORDER BY id")


class Open(SignUp):
    def test_the_account_is_answered_and_its_address_is_proven_by_mail(self):
        response = self.sign_up("Ada@Example.com", name="Ada Lovelace")
        self.assertEqual(response.status, 201, response)
        account = response.json()
        self.assertEqual({**account, "id": None, "created_at": None},
                         {"id": None, "email": "Ada@Example.com", "name": "Ada Lovelace", "email_verified": False,
                          "created_at": None})
        mail, = self.wait_for_mails("Ada@Example.com")
        self.assertIn("Confirm", mail["Subject"])
        self.assertNotIn(PASSWORD, mail.get_content())

        verified = self.verify(self.secret("Ada@Example.com"))
        self.assertEqual((verified.status, verified.body), (204, b""), verified)
        self.assertEqual(self.stored("ada@example.com", "email_verified_at IS NOT NULL, name"), ["t", "Ada Lovelace"])
        self.assertEqual(self.audit("ada@example.com"),
                         [["t", "account.create", "ok"], ["t", "email.verify", "ok"]])

    def test_a_taken_address_is_409_and_noted(self):
        self.assertEqual(self.sign_up("taken@example.com").status, 201)
        before = self.stored("taken@example.com", "id, password_hash, updated_at, name")
        self.assert_problem(self.sign_up("TAKEN@example.com", name="Mallory"), 409, "email_taken")
        self.assertEqual(self.stored("taken@example.com", "id, password_hash, updated_at, name"), before)
        self.assertEqual(self.audit("taken@example.com"),
                         [["t", "account.create", "ok"], ["f", "account.create", "email_taken"]])
        self.wait_for_mails("taken@example.com")
        self.assertEqual(len(self.mails("taken@example.com")), 1)
        self.assertEqual(self.mails("TAKEN@example.com"), [])

    def test_names(self):
        for number, name in enumerate(("\u65e5\u672c", "O'Neill", "\u0645\u0647\u062f\u06cc\u200c\u0632", "x" * 200)):
            response = self.sign_up(f"name{number}@example.com", name=name)
            self.assertEqual((response.status, response.json().get("name")), (201, name), response)
        for name, code in (("", "format"), ("  ", "format"), ("a\nb", "format"), ("\u202eadA", "format"),
                           ("A\u200bda", "format"), ("A\x1b[2J", "format"), ("x" * 201, "too_long")):
            with self.subTest(name=name):
                self.assert_field(self.sign_up("unnamed@example.com", name=name), "/name", code)
        self.assertEqual(self.sign_up("unnamed@example.com", name=5).status, 422)
        self.assertIsNone(self.stored("unnamed@example.com", "id"))

    def test_identity_is_not_taken_from_the_body(self):
        for member in ("id", "account_id", "email_verified", "email_verified_at", "scopes", "scope", "epoch",
                       "password_hash", "disabled_at", "created_at"):
            with self.subTest(member=member):
                response = self.sign_up("self-made@example.com", **{member: "admin"})
                self.assertEqual(response.status, 422, response)
        self.assertIsNone(self.stored("self-made@example.com", "id"))

    def test_weak_passwords_are_refused_with_the_reason(self):
        for password, reason in (("password1", "common word"), ("p4ssw0rd!", "look alike"), ("abcdefghijkl", "sequence"),
                                 ("zxcvbnm,./", "keyboard"), ("14.07.1989", "a date"), ("kkkkkkkkkkkk", "repeats"),
                                 ("grace.hopper", "your address"), ("REPPOH.ecarg", "your address"),
                                 ("murray1906", "your name"), ("14" * 512, "repeats")):
            with self.subTest(password=password[:20]):
                response = self.sign_up("grace.hopper@navy.example", name="Brewster Murray", password=password)
                self.assert_field(response, "/password", "weak_password")
                detail = response.json()["errors"][0]["detail"]
                self.assertIn(reason, detail)
                self.assertIn("Use a few unrelated words.", detail)
                self.assertNotIn(password, response.body.decode())
                self.assertNotIn(password, self.app.process.output())
        self.assertIsNone(self.stored("grace.hopper@navy.example", "id"))

    def test_the_strength_is_a_setting(self):
        strict, lax = self.other_app(PASSWORD_STRENGTH=4), self.other_app(PASSWORD_STRENGTH=0)
        self.assert_field(self.sign_up("strict@example.com", "xkjdfhqo", strict), "/password", "weak_password")
        self.assertEqual(self.sign_up("strict@example.com", password="xkjdfhqo").status, 201)
        self.assertEqual(self.sign_up("lax@example.com", app=lax, password="12345678").status, 201)

    def test_many_at_once_make_one_account(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: self.sign_up("race@example.com"), range(16)))
        statuses = sorted(answer.status for answer in answers if answer.status != 503)
        self.assertEqual(statuses, [201] + [409] * (len(statuses) - 1))
        self.assertEqual(self.services.sql("SELECT count(*) FROM prong_audit WHERE action = 'account.create' AND"
                                           " result = 'ok' AND account_id = (SELECT id FROM prong_accounts WHERE"
                                           " email_normalised = 'race@example.com')"), [["1"]])


class Private(SignUp):
    def test_a_taken_address_is_answered_alike_and_told_by_mail(self):
        new = self.sign_up("Secret@Example.com", app=self.private)
        self.assertEqual((new.status, new.json()), (202, {"status": "check_mail"}), new)
        self.verify(self.secret("Secret@Example.com"))
        before = self.stored("secret@example.com", "id, password_hash, updated_at")

        taken = self.sign_up("secret@EXAMPLE.com", app=self.private, password="another horse battery")
        self.assertEqual(without_identity(taken), without_identity(new))
        # To the stored address, not to the one that somebody typed.
        mail = self.wait_for_mails("Secret@Example.com", 2)[1]
        self.assertIn("already", mail["Subject"])
        self.assertNotIn("#token=", mail.get_content())
        self.assertEqual(self.mails("secret@EXAMPLE.com"), [])
        self.assertEqual(self.stored("secret@example.com", "id, password_hash, updated_at"), before)
        self.assertEqual(self.audit("secret@example.com")[-1], ["f", "account.create", "email_taken"])

    def test_what_is_refused_does_not_depend_on_the_address_being_taken(self):
        self.sign_up("weak@example.com", app=self.private)
        for body in ({"password": "password1"}, {"password": "short"}, {"name": "\n"}, {"extra": 1}):
            answers = [self.sign_up(address, app=self.private, **body) for address in ("weak@example.com",
                                                                                   "free@example.com")]
            problems = [{**answer.json(), "request_id": None} for answer in answers]
            self.assertEqual(problems[0], problems[1])
            self.assertEqual(problems[0]["status"], 422)

    def test_many_at_once_are_answered_alike(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: self.sign_up("rush@example.com", app=self.private), range(16)))
        self.assertLessEqual({answer.status for answer in answers}, {202, 503})
        self.assertEqual(len(self.services.sql("SELECT id FROM prong_accounts WHERE email_normalised ="
                                               " 'rush@example.com'")), 1)


class Closed(SignUp):
    def test_nobody_signs_up(self):
        closed = self.other_app(SIGN_UP="closed")
        self.assert_problem(self.sign_up("closed@example.com", app=closed), 403, "sign_up_closed")
        self.sign_up("there@example.com")
        self.assert_problem(self.sign_up("there@example.com", app=closed), 403, "sign_up_closed")
        self.assertIsNone(self.stored("closed@example.com", "id"))
        self.assertEqual(closed.post("/v1/sessions", {"email": "there@example.com", "password": PASSWORD}).status, 201)
        # What was mailed before still proves the address.
        self.assertEqual(self.verify(self.secret("there@example.com"), closed).status, 204)


class Verification(SignUp):
    def ask(self, address, app=None):
        return (app or self.app).post("/v1/accounts/verification", {"email": address})

    def test_of_many_at_once_one_succeeds(self):
        self.sign_up("once@example.com")
        token = self.secret("once@example.com")
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda _: self.verify(token), range(64)))
        self.assertEqual(sorted(answer.status for answer in answers), [204] + [422] * 63)
        self.assertEqual({answer.json()["code"] for answer in answers if answer.status == 422}, {"token_refused"})
        self.assertEqual([line[1] for line in self.audit("once@example.com")], ["account.create", "email.verify"])

    def test_whatever_is_wrong_is_one_answer(self):
        self.sign_up("wrong@example.com")
        token = self.secret("wrong@example.com")
        self.sign_up("expired@example.com")
        expired = self.secret("expired@example.com")
        self.services.sql("UPDATE prong_secrets SET expires_at = now() - interval '1 second' WHERE account_id ="
                          " (SELECT id FROM prong_accounts WHERE email_normalised = 'expired@example.com')")
        self.sign_up("reset@example.com")
        reset = self.secret("reset@example.com")
        self.services.sql("UPDATE prong_secrets SET purpose = 'reset' WHERE account_id ="
                          " (SELECT id FROM prong_accounts WHERE email_normalised = 'reset@example.com')")
        self.sign_up("moved@example.com")
        moved = self.secret("moved@example.com")
        self.services.sql("UPDATE prong_accounts SET email = 'elsewhere@example.com' WHERE email_normalised ="
                          " 'moved@example.com'")
        answers = [self.verify(text) for text in ("", "x", token[:-1], token + "A", token.swapcase(), "A" * 43,
                                                  "\u00e9" * 43, expired, reset, moved)]
        problems = [{**answer.json(), "request_id": None} for answer in answers]
        self.assertEqual(problems, [problems[0]] * len(problems))
        self.assert_problem(answers[0], 422, "token_refused")
        for address in ("wrong", "expired", "reset", "moved"):
            self.assertEqual(self.stored(f"{address}@example.com", "email_verified_at"), [""])
        self.assertEqual(self.verify(token).status, 204)
        self.assert_problem(self.verify(token), 422, "token_refused")
        for body in ({}, {"token": 5}, {"token": None}, {"token": token, "account_id": "x"}):
            self.assertEqual(self.app.post("/v1/accounts/verify", body).status, 422)
        self.assertEqual(self.app.get(f"/v1/accounts/verify?token={token}").status, 405)

    def test_another_mail_voids_the_earlier_secret_once_used(self):
        self.sign_up("again@example.com")
        first = self.secret("again@example.com")
        asked = self.ask("AGAIN@example.com")
        self.assertEqual((asked.status, asked.json()), (202, {"status": "check_mail"}), asked)
        second = self.secret("again@example.com", 2)
        self.assertNotEqual(first, second)
        self.assertEqual(self.verify(second).status, 204)
        self.assert_problem(self.verify(first), 422, "token_refused")

    def test_asking_says_nothing_of_accounts(self):
        self.sign_up("proven@example.com")
        self.verify(self.secret("proven@example.com"))
        self.sign_up("unproven@example.com")
        answers = [self.ask(address, app) for app in (self.app, self.private)
                   for address in ("nobody@example.com", "proven@example.com", "unproven@example.com")]
        self.assertEqual(answers[0].json(), {"status": "check_mail"})
        self.assertEqual([without_identity(answer) for answer in answers], [without_identity(answers[0])] * 6)
        self.wait_for_mails("unproven@example.com", 3)
        self.assertEqual((len(self.mails("nobody@example.com")), len(self.mails("proven@example.com"))), (0, 1))
        for body in ({}, {"email": "no address"}, {"email": "\u00e4@example.com"}):
            self.assertEqual(self.app.post("/v1/accounts/verification", body).status, 422)


if __name__ == "__main__":
    unittest.main()
