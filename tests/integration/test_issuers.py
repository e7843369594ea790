"""Access tokens of other issuers (TRUSTED_ISSUERS) in the real program."""
import socket
import time
import unittest

from harness import App, Services, binary
from issuer import Issuer, Key

A, B, C = "https://a.example", "https://b.example", "https://c.example"
PASSWORD = "correct horse battery"


def setUpModule():
    # RFC 8032 §7.1, test 2: the arithmetic of these tests is right.
    key = Key("x", bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert key.sign(b"\x72").hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")

    Issuers.services = Services()
    unittest.addModuleCleanup(Issuers.services.stop)
    Issuers.key_a, Issuers.key_b = Key("one"), Key("one")
    Issuers.a, Issuers.b = Issuer(Issuers.key_a), Issuer(Issuers.key_b)
    unittest.addModuleCleanup(Issuers.a.stop)
    unittest.addModuleCleanup(Issuers.b.stop)
    gone = Issuer()
    gone.stop()
    Issuers.app = App(binary("test_app"), Issuers.services, WEB_CONCURRENCY=2,
                      TRUSTED_ISSUERS=f"{A} my-api {Issuers.a.url}, {B} my-api {Issuers.b.url}, {C} my-api {gone.url}")
    unittest.addModuleCleanup(Issuers.app.stop)
    Issuers.app.command("migrate", "up")
    Issuers.app.start()


def claims(issuer=A, **more):
    return {"iss": issuer, "aud": "my-api", "sub": "ada", "exp": int(time.time()) + 300} | more


class Issuers(unittest.TestCase):
    services = app = a = b = key_a = key_b = None

    def status(self, token, path="/v1/private"):
        return self.app.get(path, token=token).status

    def assert_refused(self, token):
        response = self.app.get("/v1/private", token=token)
        self.assertEqual((response.status, response.json()["code"]), (401, "invalid_token"), response)

    def test_their_tokens_are_taken(self):
        token = self.key_a.token(claims(scope="billing admin", tenant="acme"))
        for _ in range(8):  # by both processes, from the cache too
            self.assertEqual(self.status(token), 200)
        self.assertEqual(self.app.get("/v1/scopes", token=token).json(), {"admin": False, "billing": True})
        self.assertEqual(self.app.get("/v1/tenant", token=token).json(), {"name": '"acme"'})
        self.assertEqual(self.app.post("/v1/guarded", {}, token=token).status, 403)
        self.assertEqual(self.status(self.key_b.token(claims(B))), 200)
        self.assertEqual(self.status(self.key_a.token(claims(aud=["x", "my-api"]), typ="JWT")), 200)

    def test_what_is_not_theirs_is_refused(self):
        self.assertEqual(self.status(self.key_a.token(claims())), 200)
        self.assertEqual(self.status(self.key_b.token(claims(B))), 200)
        self.assert_refused(self.key_a.token(claims(B)))
        self.assert_refused(self.key_b.token(claims(A)))
        self.assert_refused(self.key_a.token(claims("https://d.example")))
        self.assert_refused(self.key_a.token(claims(f"http://127.0.0.1:{self.app.port}")))
        self.assert_refused(self.key_a.token(claims(aud="another")))
        self.assert_refused(self.key_a.token(claims(exp=int(time.time()) - 1)))
        self.assert_refused(self.key_a.token(claims(), alg="none"))
        self.assert_refused(self.key_a.token(claims(), alg="HS256"))
        self.assert_refused(self.key_a.token(claims(), jwk=self.key_a.jwk()))
        self.assert_refused(self.key_a.token(claims(), kid="another"))

    def test_they_have_no_session(self):
        response = self.app.get("/v1/sessions", token=self.key_a.token(claims()))
        self.assertEqual((response.status, response.json()["code"]), (403, "session_required"), response)

    def test_one_that_is_away(self):
        response = self.app.get("/v1/private", token=self.key_a.token(claims(C)))
        self.assertEqual(response.status, 503, response)
        self.assertIn("retry-after", response.headers)
        self.assertEqual(self.status(self.key_a.token(claims())), 200)
        self.app.post("/v1/accounts", {"email": "own@example.com", "password": PASSWORD})
        own = self.app.post("/v1/sessions", {"email": "own@example.com", "password": PASSWORD}).json()["access_token"]
        self.assertEqual(self.status(own), 200)

    def test_made_up_keys_cost_it_nothing(self):
        self.assertEqual(self.status(self.key_a.token(claims())), 200)
        asked = self.a.asked
        for number in range(40):
            self.assert_refused(self.key_a.token(claims(), kid=str(number)))
        # A process may have been due for one question; no token brings a second within 30 seconds.
        self.assertLessEqual(self.a.asked, asked + 2)

    def test_wrong_settings(self):
        for value, text in (("https://x.example", "it is ISSUER AUDIENCE JWKS_URL"),
                            ("x y http://evil.example/", "its JWKS URL is not https://")):
            done = self.app.command("config", check=False, TRUSTED_ISSUERS=value)
            self.assertEqual(done.returncode, 78)
            self.assertIn(f"TRUSTED_ISSUERS: '{value}' is wrong: {text}", done.stderr)


class Ending(unittest.TestCase):
    def test_a_fetch_that_hangs_does_not_hold_up_the_end(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            app = App(binary("test_app"), Issuers.services,
                      TRUSTED_ISSUERS=f"{A} my-api http://127.0.0.1:{silent.getsockname()[1]}/")
            self.addCleanup(app.stop)
            app.start()
            connection, _ = silent.accept()
            self.assertEqual(app.stop(), 0)
            connection.close()
            self.assertNotIn("ERROR", app.process.output())


if __name__ == "__main__":
    unittest.main()
