"""What somebody who has the source would try against accounts: each was once possible, or nearly so."""
import concurrent.futures
import email
import re
import unittest
import zlib

from accounts_case import PASSWORD, AccountsCase
from harness import wait_for

OTHER_PASSWORD = "violet anchor sundial"
TOKEN = re.compile(r"^    \S+/[a-z-]+#token=([A-Za-z0-9_-]{43})$", re.MULTILINE)


def api_key(number):
    """Well-formed, and nobody's."""
    secret, digits = f"{number:043}", ""
    checksum = zlib.crc32(secret.encode())
    for _ in range(6):
        checksum, digit = divmod(checksum, 62)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[digit] + digits
    return f"prong_{secret}{digits}"


def setUpModule():
    Hostile.serve(PASSWORD_HASHES=2, WEB_CONCURRENCY=1)


class Hostile(AccountsCase):
    # ---- requests ----

    def newcomer(self, address, proven=False):
        """As join(); the address may be proven."""
        token = self.join(address)
        if proven:
            self.services.sql(f"UPDATE prong_accounts SET email_verified_at = now() WHERE email = '{address}'")
        return token

    def make_key(self, token, name="machine"):
        response = self.app.post("/v1/account/api-keys", {"name": name}, token=token)
        self.assertEqual(response.status, 201, response)
        return response.json()

    def ask_email(self, address, token, app=None):
        return (app or self.app).post("/v1/account/email", {"email": address}, token=token)

    def new_password(self, token):
        return self.app.request("PUT", "/v1/account/password", {"current_password": PASSWORD,
                                                                "password": OTHER_PASSWORD}, token=token)

    def change_password(self, token):
        response = self.new_password(token)
        self.assertEqual(response.status, 204, response)

    def secret(self, address, subject):
        secret, = TOKEN.findall(self.mails(address, subject)[-1])
        return secret

    def prove(self, path, address, subject):
        response = self.app.post(path, {"token": self.secret(address, subject)})
        self.assertEqual(response.status, 204, response)

    def reset_secret(self, address):
        self.assertEqual(self.app.post("/v1/password-resets", {"email": address}).status, 202)
        return self.secret(address, "Choose a new password")

    def confirm_reset(self, secret, password=OTHER_PASSWORD):
        return self.app.post("/v1/password-resets/confirm", {"token": secret, "password": password})

    def reset_password(self, address, password=OTHER_PASSWORD):
        response = self.confirm_reset(self.reset_secret(address), password)
        self.assertEqual(response.status, 204, response)

    def race(self, address, first, second):
        """Two requests that both want the account's row: `second` comes while `first` has everything but that row, which
        it gets next. Returns both responses."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            with self.services.holding(f"SELECT id FROM prong_accounts WHERE email = '{address}' FOR NO KEY UPDATE"):
                earlier = pool.submit(first)
                wait_for(self.services.waiting, "the first waits for the account's row")
                later = pool.submit(second)
                wait_for(lambda: later.done() or self.services.waiting() == 2, "the second waits behind it")
            return earlier.result(), later.result()

    def queue(self, verb, name):
        self.app.command("queues", verb, name)

    # ---- what became of them ----

    def account_id(self, address):
        return self.services.sql(f"SELECT id FROM prong_accounts WHERE email = '{address}'")[0][0]

    def mails(self, address, subject=""):
        """The texts of the mails to an address, once all that were ordered are sent or found needless."""
        wait_for(lambda: self.services.sql("SELECT count(*) FROM prong_outbox WHERE queue = 'mail'") == [["0"]],
                 "all mails are sent")
        mails = [email.message_from_bytes(path.read_bytes())
                 for path in sorted((self.app.folder / "mail").glob("*.eml"))]
        return [mail.get_payload(decode=True).decode().replace("\r\n", "\n") for mail in mails
                if mail["To"] == f"<{address}>" and subject in mail["Subject"]]

    # ---- mails ----

    def test_a_stranger_is_not_written_to_in_words_of_whoever_gave_their_address(self):
        address = "stranger@example.com"
        token = self.newcomer(address)
        for number in range(8):
            key = self.make_key(token, f"You have won, see evil.example/{number}")
            self.app.request("DELETE", f"/v1/account/api-keys/{key['id']}", token=token)
            self.token(address, headers={"User-Agent": f"You have won, see https://evil.example/{number}"})
        self.change_password(token)
        mails = self.mails(address)
        self.assertEqual(len(mails), 1, mails)
        self.assertIn("To confirm that it is yours", mails[0])

    def test_a_new_password_voids_a_change_of_address_whose_mail_is_still_under_way(self):
        token = self.newcomer("owner@example.com", proven=True)
        self.queue("pause", "mail")
        asked = self.app.post("/v1/account/email", {"email": "thief@example.com"}, token=token)
        self.assertEqual(asked.status, 202, asked)
        self.change_password(token)
        self.queue("resume", "mail")
        self.assertEqual(len(self.mails("owner@example.com", "Another address was asked")), 1)
        self.assertEqual(self.mails("thief@example.com"), [])

    # ---- who is just losing the account ----

    def test_a_change_of_address_asked_for_while_the_password_changes_does_not_outlive_it(self):
        address = "changing@example.com"
        thief, owner = self.newcomer(address, proven=True), self.token(address)
        changed, asked = self.race(address, lambda: self.new_password(owner),
                                   lambda: self.ask_email("thief-late@example.com", thief))
        self.assertEqual(changed.status, 204, changed)
        self.assert_problem(asked, 401, "invalid_token")
        self.assertIn("invalid_token", asked.headers["www-authenticate"])
        self.assertEqual(self.mails("thief-late@example.com"), [])

    def assert_voided(self, address, end, secret_of=lambda: None):
        thief, owner, new = self.newcomer(address, proven=True), self.token(address), f"thief-{address}"
        secret = secret_of()
        self.queue("pause", "mail")
        asked, ended = self.race(address, lambda: self.ask_email(new, thief), lambda: end(owner, secret))
        self.queue("resume", "mail")
        self.assertEqual((asked.status, ended.status), (202, 204))
        self.assertEqual(self.mails(new), [])

    def test_nor_one_that_was_asked_for_just_before(self):
        self.assert_voided("before@example.com", lambda owner, _: self.new_password(owner))

    def test_nor_one_asked_for_just_before_a_reset(self):
        self.assert_voided("forgotten@example.com", lambda _, secret: self.confirm_reset(secret),
                           lambda: self.reset_secret("forgotten@example.com"))

    def test_no_key_is_made_while_the_password_is_reset(self):
        address = "keyless@example.com"
        thief, secret = self.newcomer(address), self.reset_secret(address)
        reset, made = self.race(address, lambda: self.confirm_reset(secret),
                                lambda: self.app.post("/v1/account/api-keys", {"name": "stay"}, token=thief))
        self.assertEqual(reset.status, 204, reset)
        self.assert_problem(made, 401, "invalid_token")

    def test_nor_while_its_owner_signs_out_everywhere_else(self):
        address = "elsewhere@example.com"
        thief, owner = self.newcomer(address), self.token(address)
        ended, made = self.race(address,
                                lambda: self.app.request("DELETE", "/v1/sessions?except=current", token=owner),
                                lambda: self.app.post("/v1/account/api-keys", {"name": "stay"}, token=thief))
        self.assertEqual((ended.status, ended.json()), (200, {"count": 1}))
        self.assert_problem(made, 401, "invalid_token")

    def test_whoever_is_signed_out_while_the_password_changes_changes_nothing_any_more(self):
        for number, (method, path, body) in enumerate((
                ("DELETE", "/v1/account", None),
                ("PATCH", "/v1/account", {"name": "Mallory"}),
                ("PUT", "/v1/account/password", {"current_password": PASSWORD, "password": "granite lantern 44 finch"}),
                ("GET", "/v1/account/export", None),
                ("DELETE", "/v1/account/api-keys/{key}", None),
                ("DELETE", "/v1/sessions/{session}", None),
                ("DELETE", "/v1/sessions", None),
                ("DELETE", "/v1/sessions?except=current", None))):
            address = f"lost{number}@example.com"
            thief, session = self.newcomer(address), self.session(address)
            owner = session["access_token"]
            path = path.format(key=self.make_key(owner)["id"], session=session["session_id"])
            with self.subTest(method=method, path=path):
                changed, late = self.race(address, lambda: self.new_password(owner),
                                          lambda: self.app.request(method, path, body, token=thief))
                self.assertEqual(changed.status, 204, changed)
                self.assert_problem(late, 401, "invalid_token")
                self.assertEqual(self.app.get("/v1/account", token=owner).status, 200)

    def test_whoever_signs_out_while_the_password_changes_is_signed_out(self):
        address = "leaving@example.com"
        other, owner = self.newcomer(address), self.token(address)
        changed, out = self.race(address, lambda: self.new_password(owner),
                                 lambda: self.app.request("DELETE", "/v1/sessions/current", token=other))
        self.assertEqual((changed.status, out.status), (204, 204))

    # ---- accounts that were there before their owner ----

    def assert_keys_end(self, address, prove):
        """Those that were made before the first proof, and no others by a later one."""
        early = self.make_key(self.newcomer(address))["key"]
        self.assertEqual(self.app.get("/v1/account", token=early).status, 200)
        prove()
        wait_for(lambda: self.app.get("/v1/account", token=early).status == 401, "the key is revoked")
        self.assertEqual(self.services.sql("SELECT detail FROM prong_audit WHERE action = 'api_key.delete_all' AND"
                                           " account_id IN (SELECT id FROM prong_accounts WHERE email IN"
                                           f" ('{address}', 'new-{address}'))"), [['{"count": 1}']])

    def assert_own_key_stays(self, address, password):
        own = self.make_key(self.token(address, password))["key"]
        self.reset_password(address, "granite lantern 44 finch")
        self.assertEqual(self.app.get("/v1/account", token=own).status, 200)

    def test_who_signed_up_with_anothers_address_keeps_no_key_when_its_owner_resets_the_password(self):
        self.assert_keys_end("reset@example.com", lambda: self.reset_password("reset@example.com"))
        self.assert_own_key_stays("reset@example.com", OTHER_PASSWORD)

    def test_nor_when_its_owner_opens_the_link(self):
        address = "link@example.com"
        self.assert_keys_end(address, lambda: self.prove("/v1/accounts/verify", address, "Confirm your address"))
        self.assert_own_key_stays(address, PASSWORD)

    def test_nor_when_the_first_address_that_is_proven_is_another(self):
        def change():
            asked = self.app.post("/v1/account/email", {"email": "new-moved@example.com"},
                                  token=self.token("moved@example.com"))
            self.assertEqual(asked.status, 202, asked)
            self.prove("/v1/account/email/confirm", "new-moved@example.com", "Confirm your new address")
        self.assert_keys_end("moved@example.com", change)
        self.assert_own_key_stays("new-moved@example.com", PASSWORD)

    def test_an_administrator_gets_nobodys_account_by_a_job(self):
        self.newcomer("victim@example.com", proven=True)
        self.newcomer("admin@example.com", proven=True)
        self.app.command("accounts", "grant", "admin@example.com", "admin")
        payload = {"mail": "change_email", "account_id": self.account_id("victim@example.com"),
                   "address": "evil@example.com"}
        added = self.app.post("/v1/admin/jobs", {"name": "account_mail", "payload": payload},
                              token=self.token("admin@example.com"))
        self.assertEqual(added.status, 201, added)
        self.assertEqual(self.mails("evil@example.com"), [])
        self.assertEqual(self.services.sql("SELECT count(*) FROM prong_secrets WHERE purpose = 'change_email'"
                                           " AND address = 'evil@example.com'"), [["0"]])

    # ---- floods ----

    def test_an_account_does_not_fill_the_tables_nor_the_revocations_in_memory(self):
        self.newcomer("flood@example.com")
        app = self.other_app(RATE_LIMITS="on", WEB_CONCURRENCY=1, JOB_PROCESSES=0).start()
        token = self.token("flood@example.com", app=app)
        statuses = [app.post("/v1/account/api-keys", {"name": "again"}, token=token).status for _ in range(40)]
        statuses += [self.ask_email(f"flood{number}@example.com", token, app).status for number in range(30)]
        statuses += [app.request("PATCH", "/v1/account", {"name": "again"}, token=token).status for _ in range(40)]
        self.assertEqual(set(statuses[:100]), {201, 409, 202, 200})
        self.assertIn(429, statuses[100:])
        self.assertEqual(self.ask_email("flood@example.net", token, app).status, 429)
        self.assertEqual(app.get("/v1/account/export", token=token).status, 429)
        for count in (1, 0, 0):  # is never refused, and leaves no line where nothing came of it
            ended = app.request("DELETE", "/v1/sessions?except=current", token=token)
            self.assertEqual((ended.status, ended.json()), (200, {"count": count}))
        self.assertEqual(self.services.sql("SELECT count(*) FROM prong_audit WHERE action = 'session.revoke_others'"
                                           f" AND account_id = '{self.account_id('flood@example.com')}'"),
                         [["1"]])

    def test_whoever_uses_up_an_addresss_mails_does_not_keep_its_owner_from_a_reset(self):
        self.newcomer("wanted@example.com")
        app = self.other_app(RATE_LIMITS="on", WEB_CONCURRENCY=1, TRUSTED_PROXIES="loopback", JOB_PROCESSES=0).start()
        home, elsewhere = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
        self.token("wanted@example.com", app=app, headers=home)

        def ask(headers):
            return app.post("/v1/password-resets", {"email": "Wanted@example.com"}, headers=headers).status
        self.assertEqual([ask(elsewhere) for _ in range(6)], [202] * 5 + [429])
        self.assertEqual([ask(home) for _ in range(6)], [202] * 5 + [429])

    def test_whoever_tries_keys_from_the_same_address_does_not_shut_out_those_in_use(self):
        key = self.make_key(self.newcomer("machine@example.com"))
        app = self.other_app(RATE_LIMITS="on", WEB_CONCURRENCY=1, JOB_PROCESSES=0).start()

        def ask(text):
            return app.get("/v1/account", token=text).status

        def ask_anew():
            """As if a minute had passed since it was looked up last."""
            self.app.command("accounts", "grant", "machine@example.com", "again")
            self.app.command("accounts", "revoke", "machine@example.com", "again")
            return ask(key["key"])
        self.assertEqual(ask(key["key"]), 200)
        wait_for(lambda: 429 in [ask(api_key(number)) for number in range(20)], "the address has used up its tries")
        self.assertEqual(ask_anew(), 200)
        self.app.request("DELETE", f"/v1/account/api-keys/{key['id']}", token=self.token("machine@example.com"))
        wait_for(lambda: ask(key["key"]) != 200, "it is revoked")
        self.assertEqual(ask(key["key"]), 429)  # like any that nobody has

    # ---- sessions ----

    def test_a_request_that_has_begun_does_not_outlive_its_session(self):
        thief, owner = self.newcomer("slow@example.com"), self.token("slow@example.com")
        body = b'{"name":"kept"}'
        with self.app.connect() as connection:
            connection.send(f"POST /v1/account/api-keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {thief}\r\n"
                            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                            "Expect: 100-continue\r\n\r\n".encode())
            self.assertEqual(connection.read_response().status, 100)  # it is let in
            ended = self.app.request("DELETE", "/v1/sessions?except=current", token=owner)
            self.assertEqual(ended.json(), {"count": 1})
            connection.send(body)
            response = connection.read_response()
        self.assertEqual((response.status, response.json()["code"]), (401, "invalid_token"))

    # ---- being disabled ----

    def test_whoever_changes_their_account_does_not_keep_it_from_being_disabled(self):
        self.newcomer("busy@example.com")
        account = self.account_id("busy@example.com")
        self.services.sql("INSERT INTO prong_secrets (hash, purpose, account_id, expires_at)"
                          f" VALUES ('x', 'verify', '{account}', now() + interval '1 hour')")
        # As a change of the password does, in this order.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with self.services.holding(f"UPDATE prong_accounts SET updated_at = now() WHERE id = '{account}'",
                                       f"UPDATE prong_secrets SET used_at = now() WHERE account_id = '{account}'"):
                disabling = pool.submit(self.app.command, "accounts", "disable", "busy@example.com", check=False)
                wait_for(self.services.waiting, "the command waits for it")
            self.assertEqual(disabling.result().returncode, 0, disabling.result().stderr)

    def test_no_key_is_made_while_it_is_disabled(self):
        token = self.newcomer("quick@example.com")
        self.services.sql("UPDATE prong_accounts SET disabled_at = now() WHERE email = 'quick@example.com'")
        response = self.app.post("/v1/account/api-keys", {"name": "last"}, token=token)
        self.assertEqual((response.status, response.json()["code"]), (401, "invalid_token"))

    # ---- keys of machines ----

    def test_a_key_does_not_read_from_where_its_owner_signs_in(self):
        key = self.make_key(self.newcomer("watched@example.com"))["key"]
        for path in ("/v1/account/audit", "/v1/sessions", "/v1/account/api-keys"):
            self.assert_problem(self.app.get(path, token=key), 403, "session_required")
        self.assert_problem(self.app.get("/v1/account/export", token=key), 401, "recent_sign_in_required")


if __name__ == "__main__":
    unittest.main()
