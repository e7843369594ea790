"""Whom a request is from, where finding that out takes asking others; and what a browser's session may do."""
import base64
import http.server
import json
import subprocess
import tempfile
import threading
import time
import unittest

from harness import App, Services, binary, wait_for

PASSWORD = "correct horse battery staple"
SAMPLE = {"text": "x"}
ACCESS, REFRESH = "__Host-prong_access", "__Host-prong_refresh"


def encode(data):
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token_of_unknown_key(token):
    """The same, but as if another key had signed it: only PostgreSQL can say whether there is one."""
    header, claims, signature = token.split(".")
    header = {**json.loads(base64.urlsafe_b64decode(header + "==")), "kid": "x" * 43}
    return f"{encode(header)}.{claims}.{signature}"


class Issuer:
    """Another issuer: an RSA key made by openssl, and a server for its public half."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="prong-issuer-")
        self.key = f"{self.folder.name}/key.pem"
        self.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        modulus = self.openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().partition("=")[2]
        self.keys = {"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "e": "AQAB",
                               "n": encode(bytes.fromhex(modulus))}]}
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(issuer.keys).encode()
                self.send_response(200 if issuer.keys else 500)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/jwks.json"

    @staticmethod
    def openssl(*arguments, **options):
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True, **options).stdout

    def token(self, kid="one", **claims):
        now = int(time.time())
        claims = {"iss": "https://id.example", "aud": "my-api", "sub": "ada", "iat": now, "exp": now + 600, **claims}
        signed = f"{encode({'alg': 'RS256', 'typ': 'at+jwt', 'kid': kid})}.{encode(claims)}"
        signature = self.openssl("dgst", "-sha256", "-sign", self.key, input=signed.encode())
        return f"{signed}.{encode(signature)}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()


class Authentication(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        cls.issuer = Issuer()
        cls.addClassCleanup(cls.issuer.stop)
        cls.app = App(binary("test_app"), cls.services, WEB_CONCURRENCY=2, PASSWORD_STRENGTH=0,
                      TRUSTED_ISSUERS=f"https://id.example my-api {cls.issuer.url}")
        cls.addClassCleanup(cls.app.stop)
        cls.app.command("migrate", "up")
        cls.app.start()
        cls.count = 0

    def sign_in(self, scope=None, app=None, **members):
        """A new account's session."""
        app = app or self.app
        Authentication.count += 1
        credentials = {"email": f"user{Authentication.count}@example.com", "password": PASSWORD}
        self.assertEqual(app.post("/v1/accounts", credentials).status, 201)
        if scope:
            app.command("accounts", "grant", credentials["email"], scope)
        response = app.post("/v1/sessions", {**credentials, **members})
        self.assertEqual(response.status, 201, response)
        return response

    def token(self, scope=None, app=None):
        return self.sign_in(scope, app).json()["access_token"]

    def api_key(self, token, app=None, **members):
        response = (app or self.app).post("/v1/account/api-keys", {"name": "machine", **members}, token=token)
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]

    def assert_problem(self, response, status, code):
        self.assertEqual((response.status, response.json()["code"]), (status, code), response)

    def assert_nobody(self, token, app=None):
        """Refused, and nothing is learnt about the body."""
        for body in (b"{", {"unknown": 1}, SAMPLE):
            response = (app or self.app).post("/v1/guarded", body, token=token)
            self.assert_problem(response, 401, "invalid_token")
            self.assertIn('error="invalid_token"', response.headers["www-authenticate"])

    # ---- what is decided on the coroutine ----

    def test_an_unknown_key_is_looked_for_before_the_body_is_bound(self):
        token = self.token("admin")
        self.assertEqual(self.app.post("/v1/guarded", SAMPLE, token=token).status, 200)
        self.assert_nobody(token_of_unknown_key(token))
        large = self.app.post("/v1/small", {"text": "x" * 100}, token=token_of_unknown_key(token))
        self.assertEqual(large.status, 413)

    def test_what_waits_keeps_its_place_in_the_pipeline(self):
        token = token_of_unknown_key(self.token())
        request = "GET {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n"
        with self.app.connect() as connection:
            connection.send("".join(request.format(path, token) for path in
                                    ("/v1/private", "/v1/ping", "/v1/private", "/v1/ping")).encode())
            self.assertEqual([connection.read_response().status for _ in range(4)], [401, 200, 401, 200])

    def test_a_client_that_leaves_meanwhile_harms_nobody(self):
        token = token_of_unknown_key(self.token())
        for _ in range(20):
            with self.app.connect() as connection:
                connection.send(f"GET /v1/private HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
                connection.reset()
        self.assertEqual(self.app.get("/v1/ping").status, 200)

    def test_api_keys(self):
        token = self.token("admin")
        key = self.api_key(token, scopes=["admin"])
        # Of the other process, too, where it is not known yet: each connection goes to either.
        for _ in range(8):
            self.assert_problem(self.app.post("/v1/guarded", b"{", token=key), 400, "malformed_json")
            self.assert_problem(self.app.post("/v1/guarded", {"unknown": 1}, token=key), 422, "invalid_body")
            self.assertEqual(self.app.post("/v1/guarded", SAMPLE, token=key).status, 200)
        other = key[:-7] + ("0" if key[-7] != "0" else "1") + key[-6:]
        self.assert_nobody(other)  # its checksum is wrong
        plain = self.api_key(self.token("admin"))
        self.assert_problem(self.app.post("/v1/guarded", SAMPLE, token=plain), 403, "admin_required")
        self.assertEqual(self.app.get("/v1/scopes", token=plain).json(), {"admin": False, "billing": False})

    def test_an_api_key_is_no_recent_sign_in_and_no_cookie(self):
        key = self.api_key(self.token())
        response = self.app.post("/v1/account/api-keys", {"name": "another"}, token=key)
        self.assert_problem(response, 403, "recent_sign_in_required")
        self.assertIn("insufficient_user_authentication", response.headers["www-authenticate"])
        self.assertEqual(self.app.get("/v1/private", headers={"Cookie": f"{ACCESS}={key}"}).status, 401)

    def test_without_postgresql_nobody_is_taken_for_a_stranger(self):
        services = Services()
        self.addCleanup(services.stop)
        app = App(binary("test_app"), services, WEB_CONCURRENCY=1, PASSWORD_STRENGTH=0)
        self.addCleanup(app.stop)
        app.command("migrate", "up")
        app.start()
        token = self.token(app=app)
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
        token = self.issuer.token(scope="billing admin", tenant="acme")
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
                self.assert_nobody(self.issuer.token(**wrong))
        self.assert_nobody(token[:-8] + "AAAAAAAA")
        # What is an account's own needs a session of ours.
        self.assertIn(self.app.get("/v1/sessions", token=token).status, (401, 403))

    def test_an_issuer_that_is_away_is_no_reason_to_sign_in_anew(self):
        issuer = Issuer()
        self.addCleanup(issuer.stop)
        issuer.keys = None
        app = App(binary("test_app"), self.services, WEB_CONCURRENCY=1,
                  TRUSTED_ISSUERS=f"https://id.example my-api {issuer.url}")
        self.addCleanup(app.stop)
        app.start()
        response = app.post("/v1/guarded", b"{", token=issuer.token())
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
        response = self.sign_in(cookie=True)
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
        session = self.sign_in().json()
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
        self.sign_in()
        credentials = {"email": f"user{Authentication.count}@example.com", "password": PASSWORD, "cookie": True}
        response = self.app.post("/v1/sessions", credentials, headers={"Cookie": cookies})
        self.assertEqual(response.status, 201, response)
        self.assertNotEqual(response.json()["session_id"], planted)
        access = response.cookies[ACCESS].partition(";")[0]
        self.assertNotIn(access, cookies)
        items = self.app.get("/v1/sessions", headers={"Cookie": f"{ACCESS}={access}"}).json()["items"]
        self.assertNotIn(planted, [item["id"] for item in items])

    def test_whom_a_request_is_from_is_not_in_its_body(self):
        victim = self.sign_in().json()["account"]["id"]
        token = self.token()
        for name in ("account_id", "id", "sub", "session_id"):
            response = self.app.post("/v1/account/api-keys", {"name": "x", name: victim}, token=token)
            self.assert_problem(response, 422, "invalid_body")
        for path in (f"/v1/account?account_id={victim}", f"/v1/account?id={victim}"):
            response = self.app.get(path, token=token, headers={"X-Account-Id": victim})
            self.assertTrue(response.status == 400 or response.json()["id"] != victim, response)


if __name__ == "__main__":
    unittest.main()
