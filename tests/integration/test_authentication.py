"""Whom a request is from, where finding that out takes asking others; and what a browser's session may do."""
import time
import unittest
import uuid

from accounts_case import PASSWORD, AccountsCase, encode_part, header_of
from harness import wait_for
from issuer import Issuer, RsaKey

SAMPLE = {"text": "x"}
ACCESS, REFRESH = "__Host-prong_access", "__Host-prong_refresh"


def token_of_unknown_key(token):
    """The same, but as if another key had signed it: only PostgreSQL can say whether there is one."""
    _, claims, signature = token.split(".")
    return f"{encode_part({**header_of(token), 'kid': 'x' * 43})}.{claims}.{signature}"


def setUpModule():
    Authentication.key = RsaKey("one")
    Authentication.issuer = Issuer(Authentication.key)
    unittest.addModuleCleanup(Authentication.issuer.stop)
    Authentication.serve("test_app", WEB_CONCURRENCY=2,
                         TRUSTED_ISSUERS=f"https://id.example my-api {Authentication.issuer.url}")


class Authentication(AccountsCase):
    key = issuer = None

    def enter(self, scope=None, app=None, **fields):
        """A new account's sign-in."""
        address = f"{uuid.uuid4()}@example.com"
        self.assertEqual(self.sign_up(address, app=app).status, 201)
        if scope:
            (app or self.app).command("accounts", "grant", address, scope)
        response = self.sign_in(address, app=app, **fields)
        self.assertEqual(response.status, 201, response)
        return response

    def new_token(self, scope=None, app=None):
        return self.enter(scope, app).json()["access_token"]

    def foreign_token(self, kid="one", **claims):
        now = int(time.time())
        return self.key.token({"iss": "https://id.example", "aud": "my-api", "sub": "ada", "iat": now, "exp": now + 600,
                               **claims}, kid=kid)

    def api_key(self, token, app=None, **members):
        response = (app or self.app).post("/v1/account/api-keys", {"name": "machine", **members}, token=token)
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]

    def assert_nobody(self, token, app=None):
        """Refused, and nothing is learnt about the body."""
        for body in (b"{", {"unknown": 1}, SAMPLE):
            response = (app or self.app).post("/v1/guarded", body, token=token)
            self.assert_problem(response, 401, "invalid_token")
            self.assertIn('error="invalid_token"', response.headers["www-authenticate"])

    # ---- what is decided on the coroutine ----

    def test_an_unknown_key_is_looked_for_before_the_body_is_bound(self):
        token = self.new_token("admin")
        self.assertEqual(self.app.post("/v1/guarded", SAMPLE, token=token).status, 200)
        self.assert_nobody(token_of_unknown_key(token))
        large = self.app.post("/v1/small", {"text": "x" * 100}, token=token_of_unknown_key(token))
        self.assertEqual(large.status, 413)

    def test_what_waits_keeps_its_place_in_the_pipeline(self):
        token = token_of_unknown_key(self.new_token())
        request = "GET {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n"
        with self.app.connect() as connection:
            connection.send("".join(request.format(path, token) for path in
                                    ("/v1/private", "/v1/ping", "/v1/private", "/v1/ping")).encode())
            self.assertEqual([connection.read_response().status for _ in range(4)], [401, 200, 401, 200])

    def test_a_client_that_leaves_meanwhile_harms_nobody(self):
        token = token_of_unknown_key(self.new_token())
        for _ in range(20):
            with self.app.connect() as connection:
                connection.send(f"GET /v1/private HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
                connection.reset()
        self.assertEqual(self.app.get("/v1/ping").status, 200)

    def test_api_keys(self):
        token = self.new_token("admin")
        key = self.api_key(token, scopes=["admin"])
        # Of the other process, too, where it is not known yet: each connection goes to either.
        for _ in range(8):
            self.assert_problem(self.app.post("/v1/guarded", b"{", token=key), 400, "malformed_json")
            self.assert_problem(self.app.post("/v1/guarded", {"unknown": 1}, token=key), 422, "invalid_body")
            self.assertEqual(self.app.post("/v1/guarded", SAMPLE, token=key).status, 200)
        other = key[:-7] + ("0" if key[-7] != "0" else "1") + key[-6:]
        self.assert_nobody(other)  # its checksum is wrong
        plain = self.api_key(self.new_token("admin"))
        self.assert_problem(self.app.post("/v1/guarded", SAMPLE, token=plain), 403, "admin_required")
        self.assertEqual(self.app.get("/v1/scopes", token=plain).json(), {"admin": False, "billing": False})

    def test_an_api_key_is_no_recent_sign_in_and_no_cookie(self):
        key = self.api_key(self.new_token())
        response = self.app.post("/v1/account/api-keys", {"name": "another"}, token=key)
        self.assert_problem(response, 401, "recent_sign_in_required")
        self.assertIn("insufficient_user_authentication", response.headers["www-authenticate"])
        self.assertEqual(self.app.get("/v1/private", headers={"Cookie": f"{ACCESS}={key}"}).status, 401)

    def test_without_postgresql_nobody_is_taken_for_a_stranger(self):
        services, app = self.serve_apart("test_app", WEB_CONCURRENCY=1)
        token = self.new_token(app=app)
        known, unknown = self.api_key(token, app), self.api_key(token, app, name="other")
        self.assertEqual(app.get("/v1/private", token=known).status, 200)
        services.postgres.kill()
        # A token issued already keeps working, and so does a key that was used a moment ago.
        self.assertEqual(app.get("/v1/private", token=token).status, 200)
        self.assertEqual(app.get("/v1/private", token=known).status, 200)
        for asked in (unknown, token_of_unknown_key(token)):
            response = app.post("/v1/guarded", b"{", token=asked)
            self.assertIn((response.status, response.json()["code"]), ((503, "unavailable"), (504, "timeout")), response)
            if response.status == 503:
                self.assertGreaterEqual(int(response.headers["retry-after"]), 1)
        services.start_postgres()
        wait_for(lambda: app.get("/v1/private", token=unknown).status == 200, "the key is known again")

    def test_tokens_of_another_issuer(self):
        token = self.foreign_token(scope="billing admin", tenant="acme")
        for _ in range(4):
            self.assertEqual(self.app.get("/v1/private", token=token).status, 200)
        self.assertEqual(self.app.get("/v1/scopes", token=token).json(), {"admin": False, "billing": True})
        self.assert_problem(self.app.post("/v1/guarded", SAMPLE, token=token), 403, "admin_required")
        response = self.app.get("/v1/private", headers={"Cookie": f"{ACCESS}={token}"})
        self.assert_problem(response, 401, "invalid_token")
        now = int(time.time())
        for wrong in ({"aud": "other"}, {"iss": "https://other.example"}, {"exp": now - 1}, {"exp": str(now + 60)},
                      {"exp": None}, {"sub": None}, {"nbf": now + 600}, {"kid": "two"}):
            with self.subTest(wrong=wrong):
                self.assert_nobody(self.foreign_token(**wrong))
        self.assert_nobody(token[:-8] + "AAAAAAAA")
        # What is an account's own needs a session of ours.
        self.assertIn(self.app.get("/v1/sessions", token=token).status, (401, 403))

    def test_an_issuer_that_is_away_is_no_reason_to_sign_in_anew(self):
        issuer = Issuer()
        self.addCleanup(issuer.stop)
        issuer.status = 500
        app = self.other_app("test_app", WEB_CONCURRENCY=1,
                             TRUSTED_ISSUERS=f"https://id.example my-api {issuer.url}").start()
        response = app.post("/v1/guarded", b"{", token=self.foreign_token())
        self.assert_problem(response, 503, "unavailable")
        self.assertGreaterEqual(int(response.headers["retry-after"]), 1)

    def test_malformed_credentials_end_nothing(self):
        """Neither the process nor the connection."""
        before = self.app.children()
        values = ["", "Bearer", "Bearer ", "bearer\t", "Bearer =", "Bearer " + "A" * 8300, "Bearer ..", "Bearer ...",
                  "Bearer prong_", "Bearer prong_" + "A" * 49, "Bearer " + "." * 1000, "Basic", "\x80\xff", "Bearer \xff",
                  "Bearer e30.e30.", "Bearer e30.e30.e30", "Bearer bnVsbA.bnVsbA.bnVsbA", "Bearer " + "e30" * 500]
        with self.app.connect() as connection:
            for value in values:
                for name in ("Authorization", "Cookie"):
                    field = value if name == "Authorization" else f"{ACCESS}={value}"
                    connection.send(f"GET /v1/private HTTP/1.1\r\nHost: a\r\n{name}: {field}\r\n\r\n".encode("latin-1"))
                    response = connection.read_response()
                    self.assertIn(response.status, (400, 401), (name, value, response))
        self.assertEqual(self.app.children(), before)

    # ---- a browser's session ----

    def browser(self):
        """Cookies of a new session, as a header, and its token against forgery."""
        response = self.enter(cookie=True)
        self.assertNotIn("access_token", response.json())
        self.assertNotIn("refresh_token", response.json())
        cookies = {name: value.partition(";")[0] for name, value in response.cookies.items()}
        self.assertEqual(set(cookies), {ACCESS, REFRESH})
        for value in response.cookies.values():
            self.assertEqual(value.split("; ")[2:], ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"])
        return "; ".join(f"{name}={value}" for name, value in cookies.items()), response.json()["csrf_token"]

    def test_a_browsers_session_from_beginning_to_end(self):
        cookies, csrf = self.browser()
        other = self.browser()[1]
        self.assertEqual(self.app.get("/v1/account", headers={"Cookie": cookies}).status, 200)
        origin = f"http://127.0.0.1:{self.app.port}"
        refused = [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                   {"Sec-Fetch-Site": "same-site", "Origin": origin}, {"X-CSRF-Token": other},
                   {"Origin": "https://evil.example", "X-CSRF-Token": csrf},
                   {"Host": "evil.example", "Origin": "http://evil.example"},
                   {"X-Forwarded-Host": "evil.example", "Origin": "http://evil.example"}]
        for headers in refused:
            with self.subTest(headers=headers):
                response = self.app.request("DELETE", "/v1/sessions/current", headers={"Cookie": cookies, **headers})
                self.assert_problem(response, 403, "csrf")
        for headers in ({"Origin": origin}, {"Sec-Fetch-Site": "same-origin"}, {"X-CSRF-Token": csrf}):
            response = self.app.post("/v1/account/api-keys", {"name": list(headers)[0]},
                                     headers={"Cookie": cookies, **headers})
            self.assertEqual(response.status, 201, response)
        response = self.app.request("DELETE", "/v1/sessions/current", headers={"Cookie": cookies, "X-CSRF-Token": csrf})
        self.assertEqual(response.status, 204, response)
        self.assertEqual({name: value.partition(";")[0] for name, value in response.cookies.items()},
                         {ACCESS: "", REFRESH: ""})
        self.assert_out(headers={"Cookie": cookies})

    def assert_out(self, **options):
        """In every process: each connection goes to either."""
        wait_for(lambda: all(self.app.get("/v1/private", **options).status == 401 for _ in range(8)), "it is out")
        self.assertEqual({self.app.get("/v1/private", **options).status for _ in range(8)}, {401})

    # ---- one secret in the place of another ----

    def test_each_secret_has_one_use(self):
        session = self.enter().json()
        key = self.api_key(session["access_token"])
        cookies, csrf = self.browser()
        refresh = cookies.rpartition("=")[2]
        for wrong in (session["refresh_token"], refresh, csrf, session["session_id"]):
            self.assert_nobody(wrong)
            response = self.app.get("/v1/private", headers={"Cookie": f"{ACCESS}={wrong}"})
            self.assertEqual(response.status, 401, response)
        for wrong in (session["access_token"], key, csrf):
            response = self.app.post("/v1/sessions/refresh", {"refresh_token": wrong})
            self.assertIn(response.status, (401, 422), response)
            response = self.app.post("/v1/accounts/verify", {"token": wrong})
            self.assertIn(response.status, (401, 404, 422), response)
        self.assertEqual(self.app.get("/v1/private", token=session["access_token"]).status, 200)

    def test_signing_in_takes_over_no_session_that_was_there(self):
        """A session that somebody planted in the browser is none that its owner signs in to."""
        cookies, _ = self.browser()
        planted = self.app.get("/v1/sessions", headers={"Cookie": cookies}).json()["items"][0]["id"]
        address = self.enter().json()["account"]["email"]
        credentials = {"email": address, "password": PASSWORD, "cookie": True}
        response = self.app.post("/v1/sessions", credentials, headers={"Cookie": cookies})
        self.assertEqual(response.status, 201, response)
        self.assertNotEqual(response.json()["session_id"], planted)
        access = response.cookies[ACCESS].partition(";")[0]
        self.assertNotIn(access, cookies)
        items = self.app.get("/v1/sessions", headers={"Cookie": f"{ACCESS}={access}"}).json()["items"]
        self.assertNotIn(planted, [item["id"] for item in items])
        self.assertEqual(self.app.get("/v1/account", headers={"Cookie": cookies}).status, 200)  # nor does it end it

    def test_signing_in_again_ends_the_browsers_own_session(self):
        """So one browser has one session; and so it is where the access cookie has run out, and is sent no more."""
        address = self.enter().json()["account"]["email"]
        credentials = {"email": address, "password": PASSWORD, "cookie": True}
        for sent in ((ACCESS, REFRESH), (REFRESH,)):
            with self.subTest(sent=sent):
                first = self.app.post("/v1/sessions", credentials)
                cookies = {name: value.partition(";")[0] for name, value in first.cookies.items()}
                header = "; ".join(f"{name}={cookies[name]}" for name in sent)
                for body in (credentials | {"password": "a wrong password"}, credentials | {"cookie": False}):
                    self.app.post("/v1/sessions", body, headers={"Cookie": header})
                    self.assertEqual(self.app.get("/v1/private", token=cookies[ACCESS]).status, 200)
                response = self.app.post("/v1/sessions", credentials, headers={"Cookie": header})
                self.assertEqual(response.status, 201, response)
                self.assert_out(token=cookies[ACCESS])
                refreshed = self.app.post("/v1/sessions/refresh", {}, headers={"Cookie": header})
                self.assert_problem(refreshed, 401, "invalid_refresh_token")
                fresh = response.cookies[ACCESS].partition(";")[0]
                self.assertEqual(self.app.get("/v1/private", token=fresh).status, 200)
                own = self.app.get("/v1/account/audit?limit=3", token=fresh).json()["items"]
                self.assertIn(("sign_out", first.json()["session_id"]),
                              [(item["action"], item.get("detail", {}).get("session_id")) for item in own])

    def test_signing_in_takes_no_heed_of_cookies_that_are_none_of_ours(self):
        address = self.enter().json()["account"]["email"]
        for cookie in ("x", "x" * 91, '"', "", f"x; {REFRESH}=x"):
            response = self.sign_in(address, cookie=True, headers={"Cookie": f"{REFRESH}={cookie}"})
            self.assertEqual(response.status, 201, response)

    def test_whom_a_request_is_from_is_not_in_its_body(self):
        victim = self.enter().json()["account"]["id"]
        token = self.new_token()
        for name in ("account_id", "id", "sub", "session_id"):
            response = self.app.post("/v1/account/api-keys", {"name": "x", name: victim}, token=token)
            self.assert_problem(response, 422, "invalid_body")
        for path in (f"/v1/account?account_id={victim}", f"/v1/account?id={victim}"):
            response = self.app.get(path, token=token, headers={"X-Account-Id": victim})
            self.assertTrue(response.status == 400 or response.json()["id"] != victim, response)


if __name__ == "__main__":
    unittest.main()
