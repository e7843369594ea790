"""The accounts module in the real program: sign-up, sign-in, the own account, and what is refused."""
import concurrent.futures
import unittest

from accounts_case import PASSWORD, AccountsCase, decode_part, encode_part, without_identity

UNKNOWN_ID = "0190a5d4-0000-7000-8000-000000000001"


def setUpModule():
    Accounts.serve(PASSWORD_HASHES=2)


class Accounts(AccountsCase):
    """What the tests share; no tests of its own."""

    def stored(self, address):
        return self.services.sql("SELECT email, email_normalised, password_hash FROM prong_accounts"
                                 f" WHERE email_normalised = '{address}'")[0]


class Session(Accounts):
    def test_sign_up_sign_in_and_the_own_account(self):
        created = self.sign_up("Ada@Example.com")
        self.assertEqual(created.status, 201, created)
        account = created.json()
        self.assertEqual(set(account), {"id", "email", "email_verified", "created_at"})
        self.assertIs(account["email_verified"], False)
        self.assertEqual(account["email"], "Ada@Example.com")

        signed_in = self.sign_in("ada@example.COM")
        self.assertEqual(signed_in.status, 201, signed_in)
        self.assertEqual(signed_in.headers["cache-control"], "no-store")
        session = signed_in.json()
        self.assertEqual(set(session), {"access_token", "token_type", "expires_in", "refresh_token",
                                        "refresh_expires_in", "session_id", "account"})
        self.assertEqual((session["token_type"], session["expires_in"]), ("Bearer", 600))
        self.assertEqual(session["account"], account)

        own = self.app.get("/v1/account", token=session["access_token"])
        self.assertEqual((own.status, own.json()), (200, {**account, "scopes": []}))

        header, claims, _ = session["access_token"].split(".")
        self.assertEqual({**decode_part(header), "kid": None}, {"alg": "EdDSA", "typ": "at+jwt", "kid": None})
        claims = decode_part(claims)
        self.assertEqual(set(claims), {"iss", "aud", "sub", "sid", "jti", "epoch", "auth_time", "iat", "exp"})
        self.assertEqual((claims["sub"], claims["sid"]), (account["id"], session["session_id"]))
        self.assertEqual(claims["exp"] - claims["iat"], 600)
        self.assertEqual(self.services.sql("SELECT account_id, expires_at - created_at, floor(extract(epoch FROM"
                                           " authenticated_at)) FROM prong_sessions"
                                           f" WHERE id = '{session['session_id']}'"),
                         [[account["id"], "90 days", str(claims["auth_time"])]])

    def test_the_password_is_stored_as_argon2id_only(self):
        self.sign_up("Grace@Example.com")
        address, normalised, password_hash = self.stored("grace@example.com")
        self.assertEqual((address, normalised), ("Grace@Example.com", "grace@example.com"))
        self.assertTrue(password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$"), password_hash)
        self.assertNotIn(PASSWORD, self.app.process.output())

    def test_every_sign_in_is_a_session_of_its_own(self):
        self.sign_up("sessions@example.com")
        first, second = self.sign_in("sessions@example.com").json(), self.sign_in("sessions@example.com").json()
        self.assertNotEqual(first["session_id"], second["session_id"])
        self.assertNotEqual(first["access_token"], second["access_token"])


class SignUp(Accounts):
    def test_a_taken_address_is_409_in_any_case(self):
        self.assertEqual(self.sign_up("taken@example.com").status, 201)
        for address in ("taken@example.com", "TAKEN@Example.COM"):
            self.assert_problem(self.sign_up(address, "staple " + PASSWORD), 409, "email_taken")
        self.assertEqual(self.sign_in("taken@example.com").status, 201)

    def test_of_many_at_once_one_gets_the_address(self):
        def sign_up(_):
            """On a busy machine the wait for a hash may be too long: a client comes again."""
            while (status := self.sign_up("race@example.com").status) == 503:
                pass
            return status

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = sorted(pool.map(sign_up, range(16)))
        self.assertEqual(statuses, [201] + [409] * 15)

    def test_wrong_fields_are_422_with_pointers(self):
        right = {"email": "fields@example.com", "password": PASSWORD}
        cases = [
            ({}, {"/email", "/password"}),
            ({**right, "email": None}, {"/email"}),
            ({**right, "email": 5, "password": True}, {"/email", "/password"}),
            ({**right, "email": "not an address"}, {"/email"}),
            ({**right, "email": "a" * 250 + "@example.com"}, {"/email"}),
            ({**right, "password": ""}, {"/password"}),
            ({**right, "password": "nul\0inside"}, {"/password"}),
            ({**right, "id": UNKNOWN_ID}, {"/id"}),
            ({**right, "password_hash": "$argon2id$"}, {"/password_hash"}),
        ]
        for body, pointers in cases:
            with self.subTest(body=body):
                response = self.app.post("/v1/accounts", body)
                self.assertEqual(response.status, 422, response)
                self.assertEqual({error["pointer"] for error in response.json()["errors"]}, pointers)
        self.assertEqual(self.app.post("/v1/accounts", b"{").status, 400)
        self.assertEqual(self.app.post("/v1/accounts", b'{"email":"a@b.example","email":"c@d.example"}').status, 400)
        self.assertEqual(self.app.post("/v1/accounts", {**right, "email": "x" * 20000}).status, 413)
        self.assertEqual(self.services.sql("SELECT FROM prong_accounts WHERE email LIKE 'fields%'"), [])

    def test_a_password_has_8_to_1024_bytes(self):
        for number, password in enumerate(("1234567", "é" * 3 + "x", "x" * 1025, "é" * 513)):
            with self.subTest(size=len(password.encode())):
                response = self.sign_up(f"length{number}@example.com", password)
                self.assert_problem(response, 422, "invalid_body")
                error, = response.json()["errors"]
                self.assertEqual((error["pointer"], error["code"]),
                                 ("/password", "too_short" if len(password) < 8 else "too_long"))
        app = self.other_app(PASSWORD_STRENGTH=0).start()
        for number, password in enumerate(("12345678", "é" * 4, "x" * 1024, "é" * 512, "\\" * 1024)):
            with self.subTest(size=len(password.encode())):
                self.assertEqual(self.sign_up(f"fits{number}@example.com", password, app).status, 201)
                self.assertEqual(self.sign_in(f"fits{number}@example.com", password).status, 201)

    def test_addresses_beyond_ascii_are_not_taken(self):
        for address in ("ädа@example.com", "ada@exämple.com", "ad\u200ba@example.com"):
            response = self.sign_up(address)
            self.assert_problem(response, 422, "invalid_body")
            self.assertEqual([error["pointer"] for error in response.json()["errors"]], ["/email"])

    def test_it_does_not_need_the_queue(self):
        services, app = self.serve_apart()
        services.redis.kill()
        self.assertEqual(self.sign_up("ada@example.com", app=app).status, 201)
        # The mail that proves the address was committed with the account, and waits.
        self.assertEqual(services.sql("SELECT job FROM prong_outbox"), [["account_mail"]])


class SignIn(Accounts):
    def test_unknown_account_and_wrong_password_are_answered_alike(self):
        self.sign_up("known@example.com")
        wrong = self.sign_in("known@example.com", "wrong password")
        unknown = self.sign_in("unknown@example.com", "wrong password")
        self.assert_problem(wrong, 401, "invalid_credentials")
        self.assertEqual(without_identity(wrong), without_identity(unknown))

    def test_the_password_counts_byte_by_byte(self):
        self.sign_up("bytes@example.com", " P\u00e9re No\u00ebl ")
        for wrong in ("P\u00e9re No\u00ebl", " Pe\u0301re No\u00ebl ", " p\u00e9re no\u00ebl ", " P\u00e9re No\u00ebl",
                      " P\u00e9re No\u00ebl  ", "x" * 1025):
            self.assert_problem(self.sign_in("bytes@example.com", wrong), 401, "invalid_credentials")
        self.assertEqual(self.sign_in("bytes@example.com", " P\u00e9re No\u00ebl ").status, 201)

    def test_naughty_text_is_only_text(self):
        for text in ("' OR 1=1 --", "$1; DROP TABLE prong_accounts", "<script>", "%s%n%x", "😀😀😀😀"):
            self.assert_problem(self.sign_in("nobody@example.com", text), 401, "invalid_credentials")
            self.assertIn(self.sign_in(text + "@example.com").status, (401, 422))

    def test_changed_parameters_hash_anew_at_sign_in(self):
        self.sign_up("rehash@example.com")
        before = self.stored("rehash@example.com")[2]
        app = self.other_app(PASSWORD_PASSES=3).start()
        self.assert_problem(self.sign_in("rehash@example.com", "wrong password", app), 401, "invalid_credentials")
        self.assertEqual(self.stored("rehash@example.com")[2], before)
        self.assertEqual(self.sign_in("rehash@example.com", app=app).status, 201)
        after = self.stored("rehash@example.com")[2]
        self.assertTrue(after.startswith("$argon2id$v=19$m=19456,t=3,p=1$"), after)
        self.assertEqual(self.sign_in("rehash@example.com", app=app).status, 201)
        self.assertEqual(self.stored("rehash@example.com")[2], after)

    def test_an_unusable_stored_hash_is_answered_as_a_wrong_password(self):
        self.sign_up("broken@example.com")
        for stored in ("", "plain text", "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$"
                                         "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"):
            self.services.sql(f"UPDATE prong_accounts SET password_hash = '{stored}'"
                              " WHERE email_normalised = 'broken@example.com'")
            self.assert_problem(self.sign_in("broken@example.com"), 401, "invalid_credentials")

    def test_too_many_at_once_get_503(self):
        app = self.other_app(PASSWORD_HASHES=1, PASSWORD_MEMORY=262144, PASSWORD_PASSES=10).start()
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: self.sign_in("nobody@example.com", app=app), range(12)))
        self.assertEqual({answer.status for answer in answers}, {401, 503})
        for answer in answers:
            if answer.status == 503:
                self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.assertEqual(app.get("/health/live").status, 200)


class Tokens(Accounts):
    def test_no_token_is_401(self):
        response = self.app.get("/v1/account")
        self.assertEqual((response.status, response.headers["www-authenticate"]), (401, "Bearer"))
        token = self.join("query@example.com")
        self.assertIn(self.app.get(f"/v1/account?access_token={token}").status, (400, 401))
        for value in (f"Basic {token}", token, "Bearer", f"Bearer {token} {token}", f"Bearer {token}, Bearer {token}"):
            with self.subTest(value=value[:20]):
                self.assertIn(self.app.get("/v1/account", headers={"Authorization": value}).status, (400, 401))

    def test_changed_tokens_are_401(self):
        token = self.join("changed@example.com")
        header, claims, signature = token.split(".")
        kid = decode_part(header)["kid"]
        later = {**decode_part(claims), "exp": 9999999999}
        none = {"alg": "none", "typ": "at+jwt", "kid": kid}
        wrong = {
            "no signature": f"{header}.{claims}.",
            "two segments": f"{header}.{claims}",
            "four segments": f"{token}.{signature}",
            "padding": f"{token}==",
            "padding inside": f"{header}=.{claims}.{signature}",
            "padding twice": f"{header}.{claims}==.{signature}",
            "padding before": f"={token}",
            "padding only": "=",
            "padding in an API key": "prong_=" + "A" * 48,
            "empty": "..",
            "claims changed": f"{header}.{encode_part(later)}.{signature}",
            "none": f"{encode_part(none)}.{encode_part(later)}.",
            "none, signed": f"{encode_part(none)}.{claims}.{signature}",
            "NONE": f"{encode_part({**none, 'alg': 'NONE'})}.{claims}.",
            "HS256": f"{encode_part({**none, 'alg': 'HS256'})}.{claims}.{signature}",
            "unknown kid": f"{encode_part({**none, 'alg': 'EdDSA', 'kid': 'other'})}.{claims}.{signature}",
            "jwk": f"{encode_part({**none, 'alg': 'EdDSA', 'jwk': {}})}.{claims}.{signature}",
            "crit": f"{encode_part({**none, 'alg': 'EdDSA', 'crit': ['exp']})}.{claims}.{signature}",
            "short signature": f"{header}.{claims}.{signature[:-2]}",
            "no JSON": f"{encode_part(b'x')}.{encode_part(b'x')}.{signature}",
            "over 8 KiB": f"{header}.{claims}.{'A' * 8192}",
        }
        for what, text in wrong.items():
            with self.subTest(what):
                response = self.app.get("/v1/account", token=text)
                self.assert_problem(response, 401, "invalid_token")
                self.assertIn('error="invalid_token"', response.headers["www-authenticate"])
        self.assertEqual(self.app.get("/v1/account", token=token).status, 200)

    def test_a_deleted_account_is_out(self):
        token = self.join("deleted@example.com")
        self.services.sql("DELETE FROM prong_accounts WHERE email = 'deleted@example.com'")
        response = self.app.get("/v1/account", token=token)
        self.assert_problem(response, 401, "invalid_token")
        self.assertIn('error="invalid_token"', response.headers["www-authenticate"])

    def test_installations_of_one_url_share_their_keys(self):
        token = self.join("shared@example.com")
        self.assertEqual(self.services.sql("SELECT count(*) FROM prong_signing_keys"), [["1"]])
        same = self.other_app(PUBLIC_URL=f"http://127.0.0.1:{self.app.port}").start()
        self.assertEqual(same.get("/v1/account", token=token).status, 200)
        other = self.other_app(PUBLIC_URL="https://other.example").start()
        self.assert_problem(other.get("/v1/account", token=token), 401, "invalid_token")

    def test_another_secret_does_not_start(self):
        app = self.other_app(PRONG_SECRET="another secret of the tests, 32 bytes or more")
        app.start(wait=False)
        self.assertEqual(app.process.wait(), 78)
        self.assertIn("PRONG_SECRET", app.process.output())


if __name__ == "__main__":
    unittest.main()
