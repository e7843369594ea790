"""Care of the own account in the real program: its name, password and address, its end, its export, and the mails."""
import concurrent.futures
import email
import json
import re
import unittest

from accounts_case import PASSWORD, AccountsCase, without_identity
from harness import wait_for

OTHER_PASSWORD = "violet anchor sundial"
PAGES = "https://www.example.com/account"
LINK = re.compile(r"^    (\S+)/([a-z-]+)#token=([A-Za-z0-9_-]{43})$", re.MULTILINE)
RACERS = 64


def setUpModule():
    AccountCare.serve(PASSWORD_HASHES=2, ACCOUNT_URL=PAGES)


def text_of(mail):
    return mail.get_payload(decode=True).decode().replace("\r\n", "\n")


class AccountCare(AccountsCase):
    """What the tests share; no tests of its own."""

    # ---- requests ----

    def prove(self, address):
        self.services.sql(f"UPDATE prong_accounts SET email_verified_at = now() WHERE email = '{address}'")

    def ask_reset(self, address, **options):
        return self.app.post("/v1/password-resets", {"email": address}, **options)

    def confirm_reset(self, token, password=OTHER_PASSWORD):
        return self.app.post("/v1/password-resets/confirm", {"token": token, "password": password})

    def ask_email(self, address, token):
        return self.app.post("/v1/account/email", {"email": address}, token=token)

    def confirm_email(self, token):
        return self.app.post("/v1/account/email/confirm", {"token": token})

    def verify(self, token):
        return self.app.post("/v1/accounts/verify", {"token": token})

    def change_password(self, token, current=PASSWORD, password=OTHER_PASSWORD):
        return self.app.request("PUT", "/v1/account/password",
                                {"current_password": current, "password": password}, token=token)

    def assert_refused(self, response):
        self.assert_problem(response, 422, "token_refused")

    # ---- what became of them ----

    def stored(self, address, columns="*"):
        return self.services.sql(f"SELECT {columns} FROM prong_accounts WHERE email_normalised = lower('{address}')")

    def audited(self, address):
        """Actions and results about an account, the earliest first."""
        return [tuple(row) for row in self.services.sql(
            "SELECT action, result FROM prong_audit WHERE account_id ="
            f" (SELECT id FROM prong_accounts WHERE email_normalised = lower('{address}')) ORDER BY id")]

    def mails(self, address, subject="", app=None):
        """The mails to an address, once all that were ordered are sent or found needless."""
        wait_for(lambda: self.services.sql("SELECT count(*) FROM prong_outbox WHERE queue = 'mail'") == [["0"]],
                 "all mails are sent")
        mails = [email.message_from_bytes(path.read_bytes())
                 for path in sorted(((app or self.app).folder / "mail").glob("*.eml"))]
        return [mail for mail in mails if mail["To"] == f"<{address}>" and subject in mail["Subject"]]

    def mail(self, address, subject, app=None):
        mail, = self.mails(address, subject, app)
        return text_of(mail)

    def secret(self, address, subject, page):
        """The one-time secret of the only such mail."""
        text = self.mail(address, subject)
        (url, found, token), = LINK.findall(text)
        self.assertEqual((url, found), (PAGES, page))
        self.assertIn(f"\n    {token}\n", text)
        return token

    def reset_secret(self, address):
        self.assertEqual(self.ask_reset(address).status, 202)
        return self.secret(address, "Choose a new password", "reset-password")

    def keep_house(self, app=None):
        """Runs housekeeping and waits until it has ended."""
        (app or self.app).command("schedules", "run", "accounts_housekeeping")
        wait_for(lambda: self.services.sql("SELECT count(*) FROM prong_outbox WHERE job = 'accounts_housekeeping'"
                                           " AND dead_at IS NULL") == [["0"]], "housekeeping is done")


class OwnAccount(AccountCare):
    def test_it_is_shown_and_has_a_name(self):
        token = self.join("Ada@example.com")
        account = self.app.get("/v1/account", token=token).json()
        self.assertEqual(set(account), {"id", "email", "email_verified", "created_at", "scopes"})
        self.assertEqual((account["email"], account["email_verified"], account["scopes"]),
                         ("Ada@example.com", False, []))
        for name in ("Ada Lovelace", "Адa", "a" * 200):
            changed = self.app.request("PATCH", "/v1/account", {"name": name}, token=token)
            self.assertEqual((changed.status, changed.json()), (200, {**account, "name": name}))
        self.assertEqual(self.app.get("/v1/account", token=token).json()["name"], "a" * 200)
        for name in ("", " ", "a\nb", "a" * 201, 5, "\u202eada"):
            changed = self.app.request("PATCH", "/v1/account", {"name": name}, token=token)
            self.assertEqual(changed.status, 422, name)
        for body in ({}, {"name": "x", "email": "eve@example.com"}, {"scopes": ["admin"]}):
            self.assertEqual(self.app.request("PATCH", "/v1/account", body, token=token).status, 422, body)
        self.assertEqual(self.app.request("PATCH", "/v1/account", {"name": None}, token=token).json(), account)
        self.assertEqual([line for line in self.audited("ada@example.com") if line[0] == "account.update"],
                         [("account.update", "ok")] * 4)
        self.assertEqual(self.app.request("PATCH", "/v1/account", {"name": "x"}).status, 401)

    def test_without_postgresql_it_is_503(self):
        services, app = self.serve_apart()
        token = self.join("ada@example.com", app)
        services.postgres.kill()
        for response in (app.get("/v1/account", token=token),
                         app.post("/v1/password-resets", {"email": "ada@example.com"}),
                         app.post("/v1/password-resets/confirm", {"token": "x" * 43, "password": OTHER_PASSWORD})):
            self.assertEqual(response.status, 503, response)
            self.assertGreaterEqual(int(response.headers["retry-after"]), 1)


class Password(AccountCare):
    def test_it_is_changed_with_the_current_one(self):
        token = self.join("change@example.com")
        self.prove("change@example.com")
        other = self.token("change@example.com")
        reset = self.reset_secret("change@example.com")

        changed = self.change_password(token)
        self.assertEqual((changed.status, changed.body), (204, b""))
        self.assertEqual(self.sign_in("change@example.com").status, 401)
        self.assertEqual(self.sign_in("change@example.com", OTHER_PASSWORD).status, 201)
        self.assertEqual(self.app.get("/v1/account", token=token).status, 200)
        wait_for(lambda: self.app.get("/v1/account", token=other).status == 401, "the other session is out")

        self.assert_refused(self.confirm_reset(reset, "another long password"))  # a code from before
        self.assertEqual(self.sign_in("change@example.com", OTHER_PASSWORD).status, 201)
        self.assertIn("All other", self.mail("change@example.com", "was changed"))
        self.assertIn(("password.change", "ok"), self.audited("change@example.com"))

    def test_a_wrong_one_changes_nothing(self):
        token = self.join("wrong@example.com")
        before = self.stored("wrong@example.com")
        for current in ("wrong password", "", " " + PASSWORD, "x" * 1025):
            self.assert_problem(self.change_password(token, current), 403, "wrong_password")
        self.assertEqual(self.stored("wrong@example.com"), before)
        self.assertEqual(self.mails("wrong@example.com", "was changed"), [])
        self.assertIn(("password.change", "wrong_password"), self.audited("wrong@example.com"))
        self.assertEqual(self.app.request("PUT", "/v1/account/password", {"current_password": PASSWORD,
                                                                           "password": OTHER_PASSWORD}).status, 401)

    def test_the_new_one_must_be_good(self):
        token = self.join("weak@example.com")
        before = self.stored("weak@example.com")
        for password in ("short", "password1", "weak@example.com", "x" * 1025):
            response = self.change_password(token, password=password)
            self.assertEqual(response.status, 422, response)
            self.assertEqual([error["pointer"] for error in response.json()["errors"]], ["/password"])
            self.assertNotIn(password, response.json()["errors"][0]["detail"])
        self.assertEqual(self.stored("weak@example.com"), before)

    def test_of_two_changes_at_once_one_is_made(self):
        token = self.join("twice@example.com")

        def change(number):
            while (response := self.change_password(token, password=f"violet anchor {number}")).status == 503:
                pass
            return response.status, number

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            done = list(pool.map(change, range(8)))
        self.assertEqual([status for status, _ in done].count(204), 1, done)
        self.assertLessEqual({status for status, _ in done}, {204, 403, 409})
        winner, = [number for status, number in done if status == 204]
        self.assertEqual(self.sign_in("twice@example.com", f"violet anchor {winner}").status, 201)


class Reset(AccountCare):
    def test_a_mail_brings_a_new_password(self):
        token = self.join("Reset@example.com")
        evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        asked = self.ask_reset("rESET@EXAMPLE.com", headers=evil)
        self.assertEqual((asked.status, asked.json()), (202, {"status": "check_mail"}))
        secret = self.secret("Reset@example.com", "Choose a new password", "reset-password")  # the stored address
        self.assertNotIn("evil", self.mail("Reset@example.com", "Choose a new password"))
        self.assertEqual(self.mails("rESET@EXAMPLE.com"), [])

        weak = self.confirm_reset(secret, "password1")
        self.assertEqual((weak.status, weak.json()["errors"][0]["pointer"]), (422, "/password"))
        confirmed = self.confirm_reset(secret)
        self.assertEqual((confirmed.status, confirmed.body), (204, b""))
        self.assert_refused(self.confirm_reset(secret, "another long password"))

        self.assertEqual(self.sign_in("reset@example.com").status, 401)
        token_after = self.token("reset@example.com", OTHER_PASSWORD)
        self.assertTrue(self.app.get("/v1/account", token=token_after).json()["email_verified"])
        wait_for(lambda: self.app.get("/v1/account", token=token).status == 401, "all sessions are out")
        self.assertIn("API keys still work", self.mail("Reset@example.com", "was changed"))
        lines = self.audited("reset@example.com")
        self.assertIn(("password.reset_request", "ok"), lines)
        self.assertEqual(lines.count(("password.reset", "ok")), 1)

    def test_known_and_unknown_addresses_are_answered_alike(self):
        self.join("known@example.com")
        known, unknown = self.ask_reset("known@example.com"), self.ask_reset("unknown@example.com")
        self.assertEqual(without_identity(known), without_identity(unknown))
        self.assertEqual(len(self.mails("known@example.com", "Choose")), 1)
        self.assertEqual(self.mails("unknown@example.com"), [])
        self.assertEqual(self.ask_reset("not an address").status, 422)
        self.assertEqual(self.ask_reset("ädа@example.com").status, 422)
        self.assertEqual(self.ask_reset("ada@example.com\r\nBcc: eve@example.com").status, 422)

    def test_what_is_no_secret_is_refused_alike(self):
        self.join("guess@example.com")
        secret = self.reset_secret("guess@example.com")
        guesses = ["", "x", "A" * 43, secret[:-1], secret + "A", secret.swapcase(), f" {secret}", "' OR true --",
                   "%00", "x" * 2000]
        answers = {json.dumps(without_identity(self.confirm_reset(guess)), sort_keys=True) for guess in guesses}
        self.assertEqual(len(answers), 1, answers)
        self.assert_refused(self.confirm_reset(guesses[0]))
        self.assertEqual(self.confirm_reset(secret).status, 204)

    def test_an_old_one_is_refused(self):
        self.join("old@example.com")
        secret = self.reset_secret("old@example.com")
        self.services.sql("UPDATE prong_secrets SET expires_at = now() - interval '1 second' WHERE account_id ="
                          " (SELECT id FROM prong_accounts WHERE email = 'old@example.com')")
        self.assert_refused(self.confirm_reset(secret))
        self.assertEqual(self.sign_in("old@example.com").status, 201)

    def test_purposes_are_apart(self):
        token = self.join("purpose@example.com")
        reset = self.reset_secret("purpose@example.com")
        self.assertEqual(self.ask_email("purpose2@example.com", token).status, 202)
        change = self.secret("purpose2@example.com", "Confirm your new address", "change-email")
        verify = self.secret("purpose@example.com", "Confirm your address", "verify")
        for wrong in (reset, verify):
            self.assert_refused(self.confirm_email(wrong))
        for wrong in (change, verify):
            self.assert_refused(self.confirm_reset(wrong))
        for wrong in (reset, change):
            self.assert_refused(self.verify(wrong))
        self.assertEqual(len(self.stored("purpose@example.com")), 1)
        self.assertEqual(self.confirm_reset(reset).status, 204)
        self.assert_refused(self.confirm_email(change))  # both died with the password
        self.assert_refused(self.verify(verify))
        self.assertEqual(len(self.stored("purpose@example.com")), 1)

    def test_a_disabled_account_gets_none(self):
        self.join("disabled@example.com")
        secret = self.reset_secret("disabled@example.com")
        self.services.sql("UPDATE prong_accounts SET disabled_at = now() WHERE email = 'disabled@example.com'")
        before = self.stored("disabled@example.com")
        self.assertEqual(self.ask_reset("disabled@example.com").status, 202)
        self.assertEqual(len(self.mails("disabled@example.com", "Choose")), 1)  # the one from before
        self.assert_refused(self.confirm_reset(secret))
        self.assertEqual(self.stored("disabled@example.com"), before)

    def test_of_many_at_once_one_succeeds(self):
        self.join("race@example.com")
        secret = self.reset_secret("race@example.com")

        def confirm(number):
            """On a busy machine the wait for a hash may be too long: a client comes again."""
            while (response := self.confirm_reset(secret, f"violet anchor {number:03}")).status == 503:
                pass
            return response.status

        with concurrent.futures.ThreadPoolExecutor(RACERS) as pool:
            statuses = sorted(pool.map(confirm, range(RACERS)))
        self.assertEqual(statuses, [204] + [422] * (RACERS - 1))
        self.assertEqual(self.audited("race@example.com").count(("password.reset", "ok")), 1)
        self.assertEqual(len(self.mails("race@example.com", "was changed")), 1)

    def test_it_does_not_need_redis(self):
        services, app = self.serve_apart()
        self.sign_up("ada@example.com", app=app)
        services.redis.kill()
        self.assertEqual(app.post("/v1/password-resets", {"email": "ada@example.com"}).status, 202)
        services.start_redis()
        wait_for(lambda: [path for path in (app.folder / "mail").glob("*.eml") if b"#token" in path.read_bytes()],
                 "the mail comes once Redis is back")


class Address(AccountCare):
    def test_the_new_one_confirms_and_the_old_one_hears(self):
        token = self.join("before@example.com")
        self.prove("before@example.com")
        asked = self.ask_email("After@Example.com", token)
        self.assertEqual((asked.status, asked.json()), (202, {"status": "check_mail"}))
        self.assertIn("After@Example.com", self.mail("before@example.com", "Another address was asked"))
        self.assertEqual(self.app.get("/v1/account", token=token).json()["email"], "before@example.com")
        secret = self.secret("After@Example.com", "Confirm your new address", "change-email")
        self.assertNotIn("before@example.com", self.mail("After@Example.com", "Confirm your new address"))
        reset = self.reset_secret("before@example.com")

        confirmed = self.confirm_email(secret)
        self.assertEqual((confirmed.status, confirmed.body), (204, b""))
        self.assert_refused(self.confirm_email(secret))
        account = self.app.get("/v1/account", token=token).json()
        self.assertEqual((account["email"], account["email_verified"]), ("After@Example.com", True))
        self.assertEqual(self.sign_in("before@example.com").status, 401)
        self.assertEqual(self.sign_in("after@example.com").status, 201)
        self.assertIn("After@Example.com", self.mail("before@example.com", "was changed"))
        self.assert_refused(self.confirm_reset(reset))  # a code from before
        self.assertEqual([line for line in self.audited("after@example.com") if line[0].startswith("email.")],
                         [("email.change_request", "ok"), ("email.change", "ok")])

    def test_the_last_one_asked_for_counts(self):
        token = self.join("undecided@example.com")
        secrets = []
        for address in ("first@example.com", "second@example.com"):
            self.ask_email(address, token)
            secrets.append(self.secret(address, "Confirm your new address", "change-email"))
        self.assertEqual(self.services.sql("SELECT s.address FROM prong_secrets s JOIN prong_accounts a ON"
                                           " a.id = account_id WHERE email = 'undecided@example.com'"
                                           " AND purpose = 'email_asked'"), [["second@example.com"]])
        self.assert_refused(self.confirm_email(secrets[0]))
        self.assertEqual(self.confirm_email(secrets[1]).status, 204)

    def test_a_taken_one_is_told_to_its_owner_only(self):
        self.join("Owner@example.com")
        token = self.join("asker@example.com")
        free, taken = self.ask_email("free@example.com", token), self.ask_email("owner@example.com", token)
        self.assertEqual(without_identity(free), without_identity(taken))
        self.assertIn("It is yours", self.mail("Owner@example.com", "You have an account"))
        self.assertEqual(self.mails("owner@example.com"), [])
        self.assertEqual(self.services.sql("SELECT purpose FROM prong_secrets WHERE address = 'owner@example.com'"),
                         [["email_asked"]])

    def test_one_that_is_taken_meanwhile_is_409(self):
        token = self.join("slow@example.com")
        self.ask_email("quick@example.com", token)
        secret = self.secret("quick@example.com", "Confirm your new address", "change-email")
        self.join("Quick@example.com")
        self.assert_problem(self.confirm_email(secret), 409, "email_taken")
        self.assertEqual(len(self.stored("slow@example.com")), 1)

    def test_only_its_case_may_change(self):
        token = self.join("case@example.com")
        self.ask_email("Case@Example.com", token)
        secret = self.secret("Case@Example.com", "Confirm your new address", "change-email")
        self.assertEqual(self.confirm_email(secret).status, 204)
        self.assertEqual(self.stored("case@example.com", "email"), [["Case@Example.com"]])

    def test_a_wrong_one_is_422(self):
        token = self.join("form@example.com")
        for address in ("no address", "ädа@example.com", "x" * 250 + "@example.com", "ad\u200ba@example.com", None,
                        "a@b.example\r\nBcc: c@d.example"):
            response = self.ask_email(address, token)
            self.assertEqual((response.status, response.json()["errors"][0]["pointer"]), (422, "/email"))
        self.assertEqual(self.app.post("/v1/account/email", {"email": "x@example.com"}).status, 401)

    def test_of_many_at_once_one_succeeds(self):
        token = self.join("racer@example.com")
        self.prove("racer@example.com")
        self.ask_email("raced@example.com", token)
        secret = self.secret("raced@example.com", "Confirm your new address", "change-email")
        with concurrent.futures.ThreadPoolExecutor(RACERS) as pool:
            statuses = sorted(pool.map(lambda _: self.confirm_email(secret).status, range(RACERS)))
        self.assertEqual(statuses, [204] + [422] * (RACERS - 1))
        self.assertEqual(len(self.mails("racer@example.com", "was changed")), 1)

    def test_an_address_that_nobody_has_proven_hears_nothing(self):
        token = self.join("stranger@example.com")
        self.ask_email("words.of.mine@example.com", token)
        secret = self.secret("words.of.mine@example.com", "Confirm your new address", "change-email")
        self.assertEqual(self.confirm_email(secret).status, 204)
        subjects = {mail["Subject"] for mail in self.mails("stranger@example.com")}
        self.assertEqual([subject for subject in subjects if "Confirm" not in subject], [])

    def test_of_many_at_once_one_proves_the_first(self):
        self.join("proven@example.com")
        secret = self.secret("proven@example.com", "Confirm your address", "verify")
        with concurrent.futures.ThreadPoolExecutor(RACERS) as pool:
            statuses = sorted(pool.map(lambda _: self.verify(secret).status, range(RACERS)))
        self.assertEqual(statuses, [204] + [422] * (RACERS - 1))
        self.assertEqual(self.audited("proven@example.com").count(("email.verify", "ok")), 1)

    def test_of_two_accounts_one_gets_it(self):
        for number in range(2):
            token = self.join(f"rival{number}@example.com")
            self.ask_email("wanted@example.com", token)
        secrets = [LINK.search(text_of(mail))[3]
                   for mail in self.mails("wanted@example.com", "Confirm your new address")]
        self.assertEqual(len(secrets), 2)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            statuses = sorted(response.status for response in pool.map(self.confirm_email, secrets))
        self.assertEqual(statuses, [204, 409])


class Deletion(AccountCare):
    def delete(self, token, app=None):
        return (app or self.app).request("DELETE", "/v1/account", token=token)

    def test_it_waits_for_the_grace(self):
        token = self.join("leaving@example.com")
        self.prove("leaving@example.com")
        other = self.token("leaving@example.com")
        secret = self.reset_secret("leaving@example.com")
        deleted = self.delete(token)
        self.assertEqual(deleted.status, 202, deleted)
        self.assertEqual(self.stored("leaving@example.com", "delete_after - now() BETWEEN '13 days' AND '14 days'"),
                         [["t"]])
        for old in (token, other):
            wait_for(lambda: self.app.get("/v1/account", token=old).status == 401, "the sessions are out")
        self.assertIn(deleted.json()["delete_after"][:10], self.mail("leaving@example.com", "will be deleted"))
        self.assert_refused(self.confirm_reset(secret))
        self.keep_house()
        self.assertEqual(len(self.stored("leaving@example.com")), 1)
        self.assertIn(("account.delete_request", "ok"), self.audited("leaving@example.com"))

    def test_what_is_due_goes_with_all_that_belongs_to_it(self):
        self.services.sql("CREATE TABLE notes (owner uuid REFERENCES prong_accounts ON DELETE CASCADE);"
                          "CREATE TABLE invoices (owner uuid REFERENCES prong_accounts)")
        self.addCleanup(self.services.sql, "DROP TABLE notes, invoices")
        ids = {}
        for name in ("kept", "noted", "billed", "last"):
            self.join(f"{name}@example.com")
            (ids[name],), = self.stored(f"{name}@example.com", "id")
        self.services.sql(f"INSERT INTO notes SELECT id FROM prong_accounts;"
                          f"INSERT INTO invoices VALUES ('{ids['billed']}');"
                          "UPDATE prong_accounts SET delete_after = now() - interval '1 minute' * length(email)"
                          " WHERE email IN ('noted@example.com', 'billed@example.com', 'last@example.com');"
                          "UPDATE prong_accounts SET delete_after = now() + interval '1 hour'"
                          " WHERE email = 'kept@example.com'")

        def left():
            return [name for name in ids if self.stored(f"{name}@example.com")]

        self.app.command("schedules", "run", "accounts_housekeeping")
        wait_for(lambda: left() == ["kept", "billed"], "those that are due are gone")
        wait_for(lambda: f"account {ids['billed']} cannot be deleted" in self.app.process.output(),
                 "the log says who holds it")
        self.assertIn("tables that may: invoices", self.app.process.output())
        self.assertEqual(self.services.sql("SELECT count(*) FROM notes"
                                           f" WHERE owner IN ('{ids['noted']}', '{ids['last']}')"), [["0"]])
        self.assertEqual(self.services.sql("SELECT actor, result FROM prong_audit WHERE action = 'account.delete'"
                                           f" AND account_id = '{ids['noted']}'"), [["system", "ok"]])
        self.assertEqual(self.services.sql("SELECT count(*) FROM prong_audit WHERE action = 'account.delete'"
                                           f" AND account_id = '{ids['billed']}'"), [["0"]])
        self.services.sql("DELETE FROM invoices")
        self.keep_house()
        wait_for(lambda: left() == ["kept"], "it is tried again")

    def test_without_grace_it_is_gone_at_once(self):
        app = self.other_app(DELETION_GRACE=0, PUBLIC_URL=f"http://127.0.0.1:{self.app.port}").start()
        token = self.join("gone@example.com", app)
        (account_id,), = self.stored("gone@example.com", "id")
        self.assertEqual(self.delete(token, app).status, 202)
        self.assertEqual(self.stored("gone@example.com"), [])
        wait_for(lambda: app.get("/v1/account", token=token).status == 401, "the token is void")
        self.assertEqual(self.services.sql(f"SELECT action, actor FROM prong_audit WHERE account_id = '{account_id}'"
                                           " AND action LIKE 'account.delete%' ORDER BY id"),
                         [["account.delete_request", account_id], ["account.delete", account_id]])
        self.assertEqual(self.sign_in("gone@example.com", app=app).status, 401)

    def test_only_a_proven_address_hears_of_it(self):
        app = self.other_app(DELETION_GRACE=0, PUBLIC_URL=f"http://127.0.0.1:{self.app.port}").start()

        def by_command(address, _):
            self.app.command("accounts", "delete", address, "--yes")
        for number, way in enumerate((lambda _, token: self.delete(token, app), by_command)):
            for proven in (True, False):
                address = f"{'proven' if proven else 'unproven'}{number}@example.com"
                token = self.join(address)
                if proven:
                    self.prove(address)
                way(address, token)
                self.assertEqual(self.stored(address), [])
                told = self.mails(address, "was deleted", app) + self.mails(address, "was deleted")
                self.assertEqual(len(told), int(proven), address)

    def test_nobody_else_deletes_it(self):
        self.assertEqual(self.app.request("DELETE", "/v1/account").status, 401)


    def test_signing_in_keeps_it(self):
        token = self.join("kept2@example.com")
        made = self.app.post("/v1/account/api-keys", {"name": "backup"}, token=token)
        self.assertEqual(made.status, 201, made)
        key = made.json()["key"]
        self.assertEqual(self.app.get("/v1/account", token=key).json()["email"], "kept2@example.com")
        self.assertEqual(self.delete(token).status, 202)
        wait_for(lambda: self.app.get("/v1/account", token=key).status == 401, "its API keys are refused")
        self.assertEqual(self.sign_in("kept2@example.com", "wrong password").status, 401)
        self.assertEqual(self.stored("kept2@example.com", "delete_after IS NULL"), [["f"]])
        token = self.token("kept2@example.com")
        self.assertEqual(self.stored("kept2@example.com", "delete_after IS NULL"), [["t"]])
        self.assertEqual(self.app.get("/v1/account", token=token).status, 200)
        wait_for(lambda: self.app.get("/v1/account", token=key).status == 200, "its API keys serve again")
        self.assertIn(("account.keep", "ok"), self.audited("kept2@example.com"))


class Guarded(AccountCare):
    """Who may not."""
    ROUTES = [("PATCH", "/v1/account", {"name": "Eve"}),
              ("PUT", "/v1/account/password", {"current_password": PASSWORD, "password": OTHER_PASSWORD}),
              ("POST", "/v1/account/email", {"email": "eve@example.com"}),
              ("GET", "/v1/account/export", None),
              ("DELETE", "/v1/account", None)]

    def test_an_api_key_takes_no_care_of_the_account(self):
        token = self.join("machine@example.com")
        key = self.app.post("/v1/account/api-keys", {"name": "backup"}, token=token).json()["key"]
        before = self.stored("machine@example.com")
        for method, path, body in self.ROUTES:
            with self.subTest(path=path, method=method):
                response = self.app.request(method, path, body, token=key)
                self.assertIn((response.status, response.json()["code"]),
                              ((403, "session_required"), (401, "recent_sign_in_required")))
        self.assertEqual(self.stored("machine@example.com"), before)

    def test_what_matters_needs_a_recent_sign_in(self):
        self.join("stale@example.com")
        session = self.sign_in("stale@example.com").json()
        self.services.sql("UPDATE prong_sessions SET authenticated_at = now() - interval '1 hour'"
                          f" WHERE id = '{session['session_id']}'")
        refreshed = self.app.post("/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})
        token = refreshed.json()["access_token"]
        before = self.stored("stale@example.com")
        for method, path, body in self.ROUTES[2:]:
            with self.subTest(path=path):
                self.assert_problem(self.app.request(method, path, body, token=token), 401, "recent_sign_in_required")
        self.assertEqual(self.stored("stale@example.com"), before)
        self.assertEqual(self.change_password(token).status, 204)  # which the current one proves

    def test_mails_are_limited_alike_for_known_and_unknown_addresses(self):
        app = self.other_app(RATE_LIMITS="on").start()
        self.join("limited@example.com")

        def answers(address):
            return [without_identity(app.post("/v1/password-resets", {"email": address})) for _ in range(7)]

        known, unknown = answers("limited@example.com"), answers("unlimited@example.com")
        self.assertEqual([answer[0] for answer in known], [answer[0] for answer in unknown])
        self.assertEqual([answer[0] for answer in known], [202] * 5 + [429] * 2)


class Export(AccountCare):
    def test_it_holds_all_but_hashes(self):
        token = self.join("export@example.com")
        self.app.request("PATCH", "/v1/account", {"name": 'A "quoted" name'}, token=token)
        (account_id,), = self.stored("export@example.com", "id")
        self.services.sql("INSERT INTO prong_api_keys (id, account_id, name, hash, hint)"
                          f" VALUES (gen_random_uuid(), '{account_id}', 'backup', 'hash of the key', 'x1y2')")
        response = self.app.get("/v1/account/export", token=token)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.headers["content-disposition"], 'attachment; filename="account.json"')
        self.assertEqual(response.headers["cache-control"], "no-store")
        export = response.json()
        self.assertEqual(set(export), {"exported_at", "account", "sessions", "api_keys", "audit"})
        self.assertEqual((export["account"]["id"], export["account"]["email"], export["account"]["name"]),
                         (account_id, "export@example.com", 'A "quoted" name'))
        self.assertEqual(len(export["sessions"]), 1)
        self.assertEqual([key["name"] for key in export["api_keys"]], ["backup"])
        self.assertEqual(export["audit"][0]["action"], "account.export")
        self.assertNotIn(b"argon2", response.body)
        self.assertNotIn(b"hash", response.body)
        self.assertEqual(self.app.get("/v1/account/export").status, 401)

    def test_others_are_not_in_it(self):
        self.join("neighbour@example.com")
        export = self.app.get("/v1/account/export", token=self.join("alone@example.com"))
        self.assertNotIn(b"neighbour", export.body)


if __name__ == "__main__":
    unittest.main()
