"""Scopes: given and taken on the command line, carried by access tokens, demanded by routes."""
import json
import unittest

from accounts_case import PASSWORD, AccountsCase, claims_of
from harness import App, Services, binary, wait_for

SAMPLE = {"text": "x"}


def setUpModule():
    Scopes.serve("test_app", WEB_CONCURRENCY=1)


class Scopes(AccountsCase):
    def assert_void(self, token):
        """At once, give or take the way of the news from the command to the process."""
        wait_for(lambda: self.app.post("/v1/guarded", SAMPLE, token=token).status == 401, "the token is void")

    def executed(self):
        return self.app.get("/v1/hits").json()["count"]

    def assert_mistake(self, arguments, status, text):
        done = self.app.command("accounts", *arguments, check=False)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertIn(text, done.stderr)

    def test_a_new_account_has_none(self):
        self.sign_up("new@example.com")
        token = self.token("new@example.com")
        self.assertNotIn("scope", claims_of(token))
        self.assertEqual(self.app.get("/v1/scopes", token=token).json(), {"admin": False, "billing": False})

    def test_nobody_gives_themselves_one(self):
        for name in ("scope", "scopes"):
            response = self.app.post("/v1/accounts", {"email": "own@example.com", "password": PASSWORD, name: "admin"})
            self.assertEqual(response.status, 422, response)

    def test_an_admin_is_let_in_and_others_are_not(self):
        self.sign_up("Boss@example.com")
        before = self.token("boss@example.com")
        executed = self.executed()

        response = self.app.post("/v1/guarded", SAMPLE)
        self.assertEqual((response.status, response.headers["www-authenticate"]), (401, "Bearer"))
        response = self.app.post("/v1/guarded", SAMPLE, token=before)
        self.assertEqual((response.status, response.json()["code"]), (403, "admin_required"))
        self.assertEqual(response.headers["content-type"], "application/problem+json")
        self.assertEqual(response.headers["www-authenticate"], 'Bearer error="insufficient_scope", scope="admin"')
        self.assertEqual(self.app.post("/v1/guarded", b"{", token=before).status, 403)  # before the body is looked at
        self.assertEqual(self.executed(), executed)

        self.assertEqual(self.app.command("accounts", "grant", "BOSS@example.com", "admin").stdout,
                         "Boss@example.com has the scopes admin\n")
        self.assert_void(before)
        token = self.token("boss@example.com")
        self.assertEqual(claims_of(token)["scope"], "admin")
        self.assertEqual(self.app.post("/v1/guarded", SAMPLE, token=token).status, 200)
        self.assertEqual(self.executed(), executed + 1)

        self.app.command("accounts", "revoke", "boss@example.com", "admin")
        self.assert_void(token)
        self.assertEqual(self.app.post("/v1/guarded", SAMPLE, token=self.token("boss@example.com")).status, 403)

    def test_no_session_rises_in_privilege(self):
        self.sign_up("rises@example.com")
        session = self.sign_in("rises@example.com").json()
        self.app.command("accounts", "grant", "rises@example.com", "admin")
        self.assert_void(session["access_token"])
        refresh = {"refresh_token": session["refresh_token"]}
        self.assertEqual(self.app.post("/v1/sessions/refresh", refresh).status, 401)
        after = self.sign_in("rises@example.com").json()
        self.assertEqual(claims_of(after["access_token"])["scope"], "admin")
        self.app.command("accounts", "grant", "rises@example.com", "admin")  # has it already
        self.app.command("accounts", "revoke", "rises@example.com", "admin")
        after = self.app.post("/v1/sessions/refresh", {"refresh_token": after["refresh_token"]})
        self.assertEqual(after.status, 200, after)
        self.assertNotIn("scope", claims_of(after.json()["access_token"]))

    def test_only_the_whole_name_is_the_scope(self):
        self.sign_up("names@example.com")
        for scope in ("administrator", "admin.x", "ADMIN", "a:admin"):
            self.app.command("accounts", "grant", "names@example.com", scope)
        token = self.token("names@example.com")
        self.assertEqual(claims_of(token)["scope"], "administrator admin.x ADMIN a:admin")
        self.assertEqual(self.app.post("/v1/guarded", SAMPLE, token=token).status, 403)

    def test_grants_and_revocations_repeat_without_harm(self):
        self.sign_up("twice@example.com")
        for _ in range(2):
            self.app.command("accounts", "grant", "twice@example.com", "admin")
        self.assertEqual(self.app.command("accounts", "grant", "twice@example.com", "billing").stdout,
                         "twice@example.com has the scopes admin billing\n")
        token = self.token("twice@example.com")
        self.assertEqual(self.app.get("/v1/scopes", token=token).json(), {"admin": True, "billing": True})
        for _ in range(2):
            self.assertEqual(self.app.command("accounts", "revoke", "twice@example.com", "admin").stdout,
                             "twice@example.com has the scopes billing\n")
        self.assertEqual(self.app.command("accounts", "revoke", "twice@example.com", "billing").stdout,
                         "twice@example.com has no scopes\n")

    def test_accounts_are_listed(self):
        self.sign_up("plain@example.com")
        self.sign_up("Listed@example.com")
        self.app.command("accounts", "grant", "listed@example.com", "listed")
        listed = json.loads(self.app.command("accounts", "ls", "--json").stdout)
        self.assertEqual([account["email"] for account in listed[:2]], ["Listed@example.com", "plain@example.com"])
        self.assertEqual([account["scopes"] for account in listed[:2]], [["listed"], []])
        self.assertEqual(set(listed[0]), {"id", "email", "name", "scopes", "state", "verified", "created_at"})
        self.assertEqual(len(json.loads(self.app.command("accounts", "ls", "--limit", "1", "--json").stdout)), 1)
        shown = self.app.command("accounts", "ls", "--scope", "listed").stdout
        self.assertRegex(shown, r"\AID +EMAIL +NAME +SCOPES +STATE +VERIFIED +CREATED_AT\n"
                                r"\S+ +Listed@example.com +listed +active +no +\S+Z\n\Z")
        self.assertEqual(self.app.command("accounts", "ls", "--scope", "unheard-of").stdout, "No accounts.\n")

    def test_mistakes_are_told(self):
        self.assert_mistake(["grant", "a@example.com"], 64, "grant EMAIL admin")
        self.assert_mistake(["grant", "a@example.com", "admin", "more"], 64, "one argument too many")
        self.assert_mistake(["grant", "ä@example.com", "admin"], 64, "no address")
        for scope in ("", "a b", "a,b", "ä", 'a"b', "x" * 65):
            self.assert_mistake(["grant", "a@example.com", scope], 64, "is no scope")
            self.assert_mistake(["revoke", "a@example.com", scope], 64, "is no scope")
        self.assert_mistake(["grant", "a@example.com", "admin", "--limit", "1"], 64, "unknown option '--limit'")
        self.assert_mistake(["ls", "more"], 64, "one argument too many")
        self.assert_mistake(["ls", "--limit", "0"], 64, "from 1 to")
        self.assert_mistake(["grant", "nobody@example.com", "admin"], 1, "there is no account nobody@example.com")
        self.assert_mistake(["revoke", "nobody@example.com", "admin"], 1, "there is no account nobody@example.com")

    def test_no_token_grows_without_bound(self):
        self.sign_up("many@example.com")
        scopes = " ".join(f"{number:x<60}" for number in range(16))
        self.services.sql(f"UPDATE prong_accounts SET scopes = string_to_array('{scopes}', ' ')"
                          " WHERE email = 'many@example.com'")
        self.assert_mistake(["grant", "many@example.com", "x" * 64], 1, "has too many scopes already")
        done = self.app.command("accounts", "grant", "many@example.com", "x" * 64, check=False)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(claims_of(self.token("many@example.com"))["scope"], scopes)

    def test_the_database_refuses_what_would_pass_for_two(self):
        self.sign_up("odd@example.com")
        for scopes in ("ARRAY['x admin']", "ARRAY[NULL]", "ARRAY['']", "NULL", "ARRAY['x', NULL, 'admin']"):
            with self.assertRaises(RuntimeError, msg=scopes):
                self.services.sql(f"UPDATE prong_accounts SET scopes = {scopes} WHERE email = 'odd@example.com'")

    def test_an_older_database_is_told_of_and_brought_up_to_date(self):
        services = Services()
        self.addCleanup(services.stop)
        app = App(binary("test_app"), services)
        self.addCleanup(app.stop)
        app.command("migrate", "up")
        services.sql("INSERT INTO prong_accounts (id, email, email_normalised, password_hash) VALUES"
                     " ('0190a5d4-0000-7000-8000-000000000001', 'a@b.example', 'a@b.example', 'none')")
        self.assertEqual(services.sql("SELECT scopes FROM prong_accounts"), [["{}"]])
        last = services.sql("SELECT max(number) FROM prong_migrations WHERE sequence = 'accounts'")[0][0]
        app.command("migrate", "down", "--module", "accounts", "--steps", str(int(last) - 3))  # to before 0004_scopes
        done = app.command("accounts", "ls", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("migrate status", done.stderr)
        app.command("migrate", "up")
        self.assertEqual(json.loads(app.command("accounts", "ls", "--json").stdout)[0]["scopes"], [])

    def test_without_postgresql_it_is_unavailable(self):
        done = self.app.command("accounts", "ls", check=False, DATABASE_URL="postgresql:///x?host=/nowhere")
        self.assertEqual(done.returncode, 69)
        self.assertIn("DATABASE_URL: PostgreSQL cannot be reached", done.stderr)

    def test_an_application_without_accounts_says_so(self):
        done = self.other_app("drill_app").command("accounts", "ls", check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("has no accounts", done.stderr)


if __name__ == "__main__":
    unittest.main()
