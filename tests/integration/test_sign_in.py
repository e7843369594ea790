"""Sign-in in the real program: who is let in, what it leaves behind, cookies, and the application's claims."""
import email
import unittest
import uuid

from accounts_case import PASSWORD, AccountsCase, claims_of
from harness import App, binary, wait_for

ACCESS, REFRESH = "__Host-prong_access", "__Host-prong_refresh"


def setUpModule():
    SignIn.serve("test_app", WEB_CONCURRENCY=1, PASSWORD_HASHES=2)


class SignIn(AccountsCase):
    """What the tests share; no tests of its own."""

    def setUp(self):
        self.address = f"{uuid.uuid4()}@example.com"
        response = self.sign_up(self.address)
        self.assertEqual(response.status, 201, response)
        self.account_id = response.json()["id"]

    def change(self, assignments):
        self.services.sql(f"UPDATE prong_accounts SET {assignments} WHERE id = '{self.account_id}'")

    def stored(self, columns):
        return self.services.sql(f"SELECT {columns} FROM prong_accounts WHERE id = '{self.account_id}'")[0]

    def audited(self):
        return [tuple(row) for row in self.services.sql(
            f"SELECT action, result FROM prong_audit WHERE account_id = '{self.account_id}'"
            " AND action IN ('sign_in', 'account.keep') ORDER BY id")]

    def mails(self):
        found = [email.message_from_bytes(path.read_bytes()) for path in (self.app.folder / "mail").glob("*.eml")]
        return [mail for mail in found if self.address in mail["To"] and "new sign-in" in mail["Subject"]]

    def sessions(self):
        return self.services.sql(f"SELECT id FROM prong_sessions WHERE account_id = '{self.account_id}'")

    def assert_unknown(self, response):
        """Answered as an account that is not there."""
        self.assert_problem(response, 401, "invalid_credentials")
        other = self.app.post("/v1/sessions", {"email": "nobody@example.com", "password": PASSWORD})
        self.assertEqual(response.json() | {"request_id": ""}, other.json() | {"request_id": ""})


class WhoIsLetIn(SignIn):
    def test_every_attempt_leaves_one_line(self):
        self.assert_problem(self.sign_in(self.address, "wrong password"), 401, "invalid_credentials")
        self.session(self.address)
        self.assertEqual(self.audited(), [("sign_in", "invalid_credentials"), ("sign_in", "ok")])
        who = self.services.sql("SELECT actor = 'nobody', actor = account_id::text FROM prong_audit JOIN prong_accounts a"
                                f" ON a.id = account_id WHERE a.email = '{self.address}' AND action = 'sign_in'"
                                " ORDER BY prong_audit.id")
        self.assertEqual(who, [["t", "f"], ["f", "t"]], "a wrong password says nothing of who gave it")
        request = uuid.uuid4().hex
        self.app.post("/v1/sessions", {"email": "nobody@example.com", "password": "wrong password"},
                      headers={"X-Request-Id": request})
        self.assertEqual(self.services.sql("SELECT account_id, actor, action, result, address FROM prong_audit"
                                           f" WHERE request_id = '{request}'"),
                         [["", "nobody", "sign_in", "invalid_credentials", "127.0.0.1"]])

    def test_a_disabled_account_says_so_to_whom_knows_the_password(self):
        self.change("disabled_at = now()")
        self.assert_problem(self.sign_in(self.address), 403, "account_disabled")
        self.assert_unknown(self.sign_in(self.address, "wrong password"))
        self.assertEqual(self.sessions(), [])
        self.assertEqual(self.audited(), [("sign_in", "account_disabled"), ("sign_in", "invalid_credentials")])

    def test_signing_in_keeps_an_account_that_was_to_be_deleted(self):
        self.change("delete_after = now() + interval '1 minute'")
        self.assert_problem(self.sign_in(self.address, "wrong password"), 401, "invalid_credentials")
        self.assertNotEqual(self.stored("delete_after"), [""])
        self.session(self.address)
        self.assertEqual(self.stored("delete_after"), [""])
        self.assertEqual(self.audited()[1:], [("account.keep", "ok"), ("sign_in", "ok")])
        self.change("delete_after = now() - interval '1 second'")
        self.assert_unknown(self.sign_in(self.address))

    def test_unproven_addresses_are_unknown_where_sign_up_is_private(self):
        private = App(binary("test_app"), self.services, SIGN_UP="private", WEB_CONCURRENCY=1, PASSWORD_PASSES=3)
        self.addCleanup(private.stop)
        private.start()
        before = self.stored("password_hash")
        self.assert_unknown(self.sign_in(self.address, app=private))
        self.assertEqual(self.stored("password_hash"), before)
        self.change("email_verified_at = now()")
        self.session(self.address, app=private)
        self.assertNotEqual(self.stored("password_hash"), before)

    def test_a_sign_in_that_fails_half_way_leaves_nothing(self):
        self.change("name = '!'")
        self.assert_problem(self.sign_in(self.address), 403, "not_today")
        self.assertEqual((self.sessions(), self.audited()), ([], []))


class NewDevices(SignIn):
    def setUp(self):
        super().setUp()
        self.change("email_verified_at = now()")

    def test_the_first_sign_in_is_no_news(self):
        self.session(self.address, headers={"User-Agent": "Known/1"})
        self.session(self.address, headers={"User-Agent": "Known/1"})
        self.session(self.address, headers={"User-Agent": "Other/1"})
        wait_for(self.mails, "the owner is told of the other device")
        self.assertEqual(len(self.mails()), 1)
        self.assertIn("Other/1, from 127.0.0.1", self.mails()[0].get_payload(decode=True).decode())
        self.assertEqual(self.audited(), [("sign_in", "ok")] * 3)

    def test_a_known_device_elsewhere_is_news(self):
        self.session(self.address, headers={"User-Agent": "Known/1"})
        for number, (address, other) in enumerate((("198.51.100.7", "198.51.100.8"),
                                                   ("2001:db8::7", "2001:db8:0:1::7")), 1):
            self.services.sql(f"UPDATE prong_sessions SET address = '{other}' WHERE account_id = '{self.account_id}'")
            proxied = App(binary("test_app"), self.services, TRUSTED_PROXIES="127.0.0.1", WEB_CONCURRENCY=1,
                          JOB_PROCESSES=0)
            self.addCleanup(proxied.stop)
            proxied.start()
            for _ in range(2):
                self.session(self.address, app=proxied, headers={"User-Agent": "Known/1", "X-Forwarded-For": address})
            wait_for(lambda: len(self.mails()) == number, "the owner is told of the other address")

    def test_an_old_account_without_sessions_is_told_too(self):
        self.change("created_at = now() - interval '31 days'")
        self.session(self.address, headers={"User-Agent": "Any/1"})
        wait_for(self.mails, "the owner is told")

    def test_a_neighbour_in_the_same_64_bits_is_known(self):
        self.session(self.address, headers={"User-Agent": "Known/1"})
        self.services.sql(f"UPDATE prong_sessions SET address = '2001:db8::1' WHERE account_id = '{self.account_id}'")
        proxied = App(binary("test_app"), self.services, TRUSTED_PROXIES="127.0.0.1", WEB_CONCURRENCY=1)
        self.addCleanup(proxied.stop)
        proxied.start()
        self.session(self.address, app=proxied, headers={"User-Agent": "Known/1", "X-Forwarded-For": "2001:db8::ffff:7"})
        self.session(self.address, headers={"User-Agent": "Known/2"})
        mail, = wait_for(self.mails, "the owner is told of the other device only")
        self.assertIn("Known/2, from 127.0.0.1", mail.get_payload(decode=True).decode())


class Cookies(SignIn):
    def browser(self, **headers):
        response = self.sign_in(self.address, cookie=True, headers=headers)
        self.assertEqual(response.status, 201, response)
        return response

    @staticmethod
    def cookie(response, *names):
        values = {name: response.cookies[name].split(";")[0] for name in names}
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in values.items())}

    def refresh(self, headers):
        return self.app.post("/v1/sessions/refresh", {}, headers=headers)

    def test_tokens_come_as_cookies_only(self):
        response = self.browser()
        self.assertEqual(set(response.json()), {"expires_in", "refresh_expires_in", "csrf_token", "session_id",
                                                "account"})
        self.assertEqual(set(response.cookies), {ACCESS, REFRESH})
        for cookie in response.cookies.values():
            self.assertEqual({part.strip() for part in cookie.split(";")[1:]},
                             {"Max-Age=2592000", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"})
        self.assertEqual(response.headers["cache-control"], "no-store")
        own = self.app.get("/v1/account", headers=self.cookie(response, ACCESS))
        self.assertEqual((own.status, own.json()["id"]), (200, self.account_id))

    def test_a_refresh_by_cookie_answers_with_cookies(self):
        first = self.browser()
        second = self.refresh(self.cookie(first, REFRESH))
        self.assertEqual(second.status, 200, second)
        self.assertEqual(second.json()["csrf_token"], first.json()["csrf_token"])
        self.assertNotIn("access_token", second.json())
        self.assertNotIn("refresh_token", second.json())
        again = self.refresh(self.cookie(first, REFRESH))
        self.assertEqual(self.cookie(again, REFRESH), self.cookie(second, REFRESH))
        self.assertEqual(self.refresh(self.cookie(second, REFRESH)).status, 200)
        late = self.refresh(self.cookie(first, REFRESH))
        self.assert_problem(late, 401, "invalid_refresh_token")
        self.assertEqual({name: value.split(";")[0] for name, value in late.cookies.items()}, {ACCESS: "", REFRESH: ""})
        self.assertTrue(all("Max-Age=0" in cookie for cookie in late.cookies.values()))

    def test_tokens_of_cookies_are_not_taken_elsewhere_nor_the_reverse(self):
        cookie, bearer = self.browser().cookies[REFRESH].split(";")[0], self.session(self.address)
        self.assert_problem(self.app.post("/v1/sessions/refresh", {"refresh_token": cookie}), 401,
                            "invalid_refresh_token")
        self.assert_problem(self.refresh({"Cookie": f"{REFRESH}={bearer['refresh_token']}"}), 401,
                            "invalid_refresh_token")
        self.assertEqual(self.refresh({"Cookie": f"{REFRESH}={cookie}"}).status, 200)
        self.assertEqual(self.app.post("/v1/sessions/refresh", {"refresh_token": bearer["refresh_token"]}).status, 200)

    def test_other_sites_neither_sign_in_nor_refresh(self):
        cookie = self.cookie(self.browser(), REFRESH)
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                        {"Origin": "https://evil.example"}, {"Origin": "null"}):
            with self.subTest(headers):
                self.assert_problem(self.sign_in(self.address, cookie=True, headers=headers), 403, "csrf")
                self.assert_problem(self.refresh(cookie | headers), 403, "csrf")
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": f"http://127.0.0.1:{self.app.port}"}, {}):
            with self.subTest(headers):
                self.browser(**headers)
                self.assertEqual(self.refresh(cookie | headers).status, 200)
        self.assertEqual(self.sign_in(self.address, headers={"Sec-Fetch-Site": "cross-site"}).status, 201)

    def test_sign_out_takes_the_cookies(self):
        response = self.browser()
        cookie = self.cookie(response, ACCESS)
        self.assert_problem(self.app.request("DELETE", "/v1/sessions/current", headers=cookie), 403, "csrf")
        out = self.app.request("DELETE", "/v1/sessions/current",
                               headers=cookie | {"X-CSRF-Token": response.json()["csrf_token"]})
        self.assertEqual(out.status, 204, out)
        self.assertEqual(set(out.cookies), {ACCESS, REFRESH})
        self.assertTrue(all("Max-Age=0" in value for value in out.cookies.values()))
        self.assertEqual(self.app.get("/v1/account", headers=cookie).status, 401)
        self.assert_problem(self.refresh(self.cookie(response, REFRESH)), 401, "invalid_refresh_token")

    def test_a_malformed_cookie_is_400(self):
        for value in (f"{REFRESH}=", f"{REFRESH}=x; {REFRESH}=y", f'{REFRESH}="x"'):
            self.assert_problem(self.refresh({"Cookie": value}), 400, "invalid_cookie")
        self.assert_problem(self.refresh({"Cookie": f"{REFRESH}=x"}), 401, "invalid_refresh_token")
        self.assert_problem(self.refresh({"Cookie": "other=x"}), 422, "invalid_body")


class Claims(SignIn):
    def tenant(self, token):
        return self.app.get("/v1/tenant", token=token).json().get("name")

    def refresh(self, session):
        return self.app.post("/v1/sessions/refresh", {"refresh_token": session["refresh_token"]})

    def test_the_application_adds_claims_at_sign_in_and_refresh(self):
        session = self.session(self.address)
        self.assertIsNone(self.tenant(session["access_token"]))
        self.change("name = '{\"tenant\": \"acme\", \"seats\": [1, 2]}'")
        refreshed = self.refresh(session).json()
        self.assertEqual(self.tenant(refreshed["access_token"]), '"acme"')
        self.assertEqual(claims_of(refreshed["access_token"])["seats"], [1, 2])
        self.change("name = '{\"tenant\": 7}'")
        self.assertEqual(self.tenant(self.session(self.address)["access_token"]), "7")
        self.change("name = '{}'")
        self.assertIsNone(self.tenant(self.session(self.address)["access_token"]))

    def test_wrong_claims_are_the_programs_fault(self):
        session = self.session(self.address)
        wrong = ["[1]", "{", '{"sub": "x"}', '{"scope": "admin"}', '{"exp": 1}', '{"a": 1, "a": 2}',
                 '{"a": "' + "x" * 2048 + '"}']
        for text in wrong:
            with self.subTest(text=text[:20]):
                self.change(f"name = '{text}'")
                self.assert_problem(self.sign_in(self.address), 500, "internal")
                self.assert_problem(self.refresh(session), 500, "internal")
        wait_for(lambda: self.app.process.output().count("the application's claims cannot be in an access token")
                 >= 2 * len(wrong), "the log says why")
        self.change("name = '?'")
        self.assert_problem(self.sign_in(self.address), 500, "internal")
        wait_for(lambda: "the application's claims for an access token failed" in self.app.process.output(),
                 "the log says that they failed")

    def test_a_refresh_that_fails_has_used_nothing_up(self):
        session = self.session(self.address)
        self.change("name = '!'")
        for _ in range(2):
            self.assert_problem(self.refresh(session), 403, "not_today")
        self.assertEqual(self.services.sql("SELECT rotated_at, revoked_at FROM prong_sessions"
                                           f" WHERE id = '{session['session_id']}'"), [["", ""]])
        self.change("name = NULL")
        self.assertEqual(self.refresh(session).status, 200)


if __name__ == "__main__":
    unittest.main()
