"""API keys: made once, shown once, used by machines, revoked at once."""
import datetime
import email
import hashlib
import pathlib
import threading
import unittest

from accounts_case import PASSWORD, AccountsCase
from harness import wait_for

KEYS = "/v1/account/api-keys"


def at_once(count, act):
    """Calls act(number) from as many threads, let go together; returns the results."""
    results, gate = [None] * count, threading.Barrier(count)

    def run(number):
        gate.wait()
        results[number] = act(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def setUpModule():
    ApiKeys.serve("test_app", WEB_CONCURRENCY=2)


class ApiKeys(AccountsCase):
    count = 0

    def account(self, scopes=""):
        """A new account: its address and a token of its session."""
        ApiKeys.count += 1
        address = f"user{ApiKeys.count}@example.com"
        self.assertEqual(self.sign_up(address).status, 201)
        self.services.sql(f"UPDATE prong_accounts SET scopes = '{{{scopes}}}' WHERE email = '{address}'")
        return address, self.token(address)

    def make(self, token, name="machine", **members):
        response = self.app.post(KEYS, {"name": name, **members}, token=token)
        self.assertEqual(response.status, 201, response)
        return response.json()

    def assert_refused(self, response, status, code):
        self.assertEqual((response.status, response.json()["code"]), (status, code), response)
        self.assertEqual(response.headers["content-type"], "application/problem+json")

    def assert_key_refused(self, key):
        response = self.app.get("/v1/private", token=key)
        self.assert_refused(response, 401, "invalid_token")
        self.assertEqual(response.headers["www-authenticate"], 'Bearer error="invalid_token"')

    def test_a_key_from_its_making_to_its_end(self):
        address, token = self.account("read,write")
        made = self.make(token, "backup", scopes=["read"])
        self.assertRegex(made["key"], r"\Aprong_[0-9A-Za-z]{49}\Z")
        self.assertEqual(made["hint"], made["key"][-4:])
        self.assertEqual((made["name"], made["scopes"]), ("backup", ["read"]))
        self.assertIsNone(made["expires_at"])

        listed = self.app.get(KEYS, token=token).json()["items"]
        self.assertEqual(listed, [{name: value for name, value in made.items() if name != "key"}])

        for _ in range(3):
            response = self.app.get("/v1/account", token=made["key"])
            self.assertEqual((response.status, response.json()["email"]), (200, address), response)
        noted = wait_for(lambda: self.app.get(KEYS, token=token).json()["items"][0]["last_used_at"], "the use is noted")
        age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(noted)
        self.assertLess(abs(age.total_seconds()), 60)

        self.assertEqual(self.app.request("DELETE", f"{KEYS}/{made['id']}", token=token).status, 204)
        wait_for(lambda: all(self.app.get("/v1/private", token=made["key"]).status == 401 for _ in range(8)),
                 "all processes refuse the key")
        self.assert_key_refused(made["key"])
        self.assertEqual(self.app.get(KEYS, token=token).json()["items"], [])
        self.assertEqual(self.app.request("DELETE", f"{KEYS}/{made['id']}", token=token).status, 404)

    def test_nothing_keeps_the_key_itself(self):
        address, token = self.account()
        made = self.make(token, "kept")
        random = made["key"][6:-6]
        self.assertEqual(self.services.sql(f"SELECT encode(hash, 'hex') FROM prong_api_keys WHERE id = '{made['id']}'"),
                         [[hashlib.sha256(made["key"].encode()).hexdigest()]])
        for table in ("prong_api_keys", "prong_audit", "prong_outbox"):
            self.assertNotIn(random, str(self.services.sql(f"SELECT * FROM {table}")), table)
        self.assertEqual(self.app.get("/v1/private", token=made["key"]).status, 200)
        self.assertNotIn(random, self.app.process.output())

    def test_its_making_and_its_end_are_in_the_audit_log_and_in_a_mail(self):
        address, token = self.account("read")
        made = self.make(token, "told of", scopes=["read"])
        self.app.request("DELETE", f"{KEYS}/{made['id']}", token=token)
        rows = self.services.sql("SELECT action, result, actor = account_id::text, detail->>'id', detail->>'name'"
                                 " FROM prong_audit WHERE account_id ="
                                 f" (SELECT id FROM prong_accounts WHERE email = '{address}')"
                                 " AND action LIKE 'api_key.%' ORDER BY id")
        self.assertEqual(rows, [["api_key.create", "ok", "t", made["id"], "told of"],
                                ["api_key.delete", "ok", "t", made["id"], "told of"]])

    def test_a_mail_tells_of_a_new_key(self):
        address, token = self.account()
        self.services.sql(f"UPDATE prong_accounts SET email_verified_at = now() WHERE email = '{address}'")
        self.make(token, "posted")

        def arrived():
            for path in (pathlib.Path(self.app.folder) / "mail").rglob("*"):
                if path.is_file():
                    mail = email.message_from_bytes(path.read_bytes())
                    if mail["To"] and address in mail["To"] and "posted" in str(mail):
                        return True
            return False
        wait_for(arrived, "the mail is there")

    def test_a_key_has_the_scopes_that_both_have(self):
        address, token = self.account("admin,billing")
        key = self.make(token, scopes=["billing", "admin", "billing"])
        self.assertEqual(key["scopes"], ["admin", "billing"])
        self.assertEqual(self.app.get("/v1/scopes", token=key["key"]).json(), {"admin": True, "billing": True})
        self.assertEqual(self.app.post("/v1/guarded", {"text": "x"}, token=key["key"]).status, 200)
        plain = self.make(token, "plain")
        self.assertEqual(plain["scopes"], [])
        self.assertEqual(self.app.get("/v1/scopes", token=plain["key"]).json(), {"admin": False, "billing": False})
        self.assert_refused(self.app.post("/v1/guarded", {"text": "x"}, token=plain["key"]), 403, "admin_required")

    def test_nobody_gives_a_key_what_the_account_has_not(self):
        address, token = self.account("read")
        for scopes in (["read", "admin"], ["read", "READ"], ["read", ""], ["read", "read admin"], ["read", "*"]):
            response = self.app.post(KEYS, {"name": "more", "scopes": scopes}, token=token)
            self.assertEqual(response.status, 422, response)
            self.assertEqual([error["pointer"] for error in response.json()["errors"]], ["/scopes/1"], scopes)
        self.assertEqual(self.app.get(KEYS, token=token).json()["items"], [])

    def test_keys_are_the_business_of_sessions(self):
        address, token = self.account("read")
        made = self.make(token, scopes=["read"])
        self.assertEqual(self.app.post(KEYS, {"name": "child"}, token=made["key"]).status, 401)
        self.assert_refused(self.app.get(KEYS, token=made["key"]), 403, "session_required")
        self.assert_refused(self.app.request("DELETE", f"{KEYS}/{made['id']}", token=made["key"]), 403,
                            "session_required")
        for method in ("GET", "POST"):
            self.assertEqual(self.app.request(method, KEYS).status, 401)
        self.assertEqual(self.app.get("/v1/private", token=made["key"]).status, 200)

    def test_the_keys_of_others_are_not_there(self):
        _, token = self.account()
        _, other = self.account()
        made = self.make(token)
        response = self.app.request("DELETE", f"{KEYS}/{made['id']}", token=other)
        self.assertEqual(response.status, 404)
        self.assertEqual(self.app.get(KEYS, token=other).json()["items"], [])
        self.assertEqual(self.app.get("/v1/private", token=made["key"]).status, 200)
        self.assertEqual(self.make(other)["name"], made["name"])  # a name is one account's

    def test_a_name_is_taken_while_its_key_lives(self):
        _, token = self.account()
        made = self.make(token, "ci")
        self.assert_refused(self.app.post(KEYS, {"name": "ci"}, token=token), 409, "name_taken")
        self.app.request("DELETE", f"{KEYS}/{made['id']}", token=token)
        self.assertNotEqual(self.make(token, "ci")["key"], made["key"])

    def test_an_account_has_at_most_a_hundred(self):
        address, token = self.account()
        self.fill(address, 99)
        self.make(token, "the hundredth")
        self.assert_refused(self.app.post(KEYS, {"name": "one more"}, token=token), 409, "too_many_api_keys")
        self.assertEqual(len(self.app.get(KEYS, token=token).json()["items"]), 100)

    def fill(self, address, count):
        self.services.sql("INSERT INTO prong_api_keys (id, account_id, name, hash, hint)"
                          f" SELECT gen_random_uuid(), id, 'old ' || n, sha256((id::text || n)::bytea), 'none'"
                          f" FROM prong_accounts, generate_series(1, {count}) AS n WHERE email = '{address}'")

    def test_of_64_of_one_name_at_once_one_is_made(self):
        _, token = self.account()
        answers = at_once(64, lambda _: self.app.post(KEYS, {"name": "race"}, token=token))
        self.assertEqual(sorted(answer.status for answer in answers), [201] + [409] * 63)
        self.assertEqual({answer.json()["code"] for answer in answers if answer.status == 409}, {"name_taken"})
        self.assertEqual(len(self.app.get(KEYS, token=token).json()["items"]), 1)

    def test_64_at_once_do_not_get_past_the_hundredth(self):
        address, token = self.account()
        self.fill(address, 90)
        answers = at_once(64, lambda number: self.app.post(KEYS, {"name": f"race {number}"}, token=token))
        self.assertEqual(sorted(answer.status for answer in answers), [201] * 10 + [409] * 54)
        made = [answer.json()["key"] for answer in answers if answer.status == 201]
        self.assertEqual(len(set(made)), 10)
        for key in made:
            self.assertEqual(self.app.get("/v1/private", token=key).status, 200)

    def test_of_64_revocations_at_once_one_is_the_first(self):
        _, token = self.account()
        made = self.make(token)
        answers = at_once(64, lambda _: self.app.request("DELETE", f"{KEYS}/{made['id']}", token=token).status)
        self.assertEqual(sorted(answers), [204] + [404] * 63)

    def test_a_key_ends_when_it_expires(self):
        _, token = self.account()
        now = datetime.datetime.now(datetime.timezone.utc)
        response = self.app.post(KEYS, {"name": "late", "expires_at": now.isoformat()}, token=token)
        self.assertEqual((response.status, response.json()["errors"][0]["pointer"]), (422, "/expires_at"), response)
        made = self.make(token, "soon", expires_at=(now + datetime.timedelta(days=1)).isoformat())
        self.assertEqual(self.app.get("/v1/private", token=made["key"]).status, 200)
        short = self.make(token, "short", expires_at=(now + datetime.timedelta(seconds=4)).isoformat())
        self.assertEqual(self.app.get("/v1/private", token=short["key"]).status, 200)
        wait_for(lambda: self.app.get("/v1/private", token=short["key"]).status == 401, "the key has expired")
        self.assertEqual(self.app.get("/v1/private", token=made["key"]).status, 200)

    def test_wrong_keys_are_refused(self):
        _, token = self.account()
        key = self.make(token)["key"]
        wrong = [key[:-1], key + "0", key[:-1] + ("0" if key[-1] != "0" else "1"), key.swapcase(), key.upper(),
                 "prong_", "prong_" + token, "prong_" + "0" * 49,
                 "prong_00000000000000000000000000000000000000000002CZclj"]  # well-formed, and nobody's
        for text in wrong:
            self.assert_key_refused(text)

    def test_a_key_is_no_token_of_another_kind(self):
        _, token = self.account()
        key = self.make(token)["key"]
        self.assertEqual(self.app.post("/v1/accounts/verify", {"token": key}).status // 100, 4)
        for member in ("password", "email"):
            body = {"email": "a@example.com", "password": PASSWORD} | {member: key}
            self.assertEqual(self.app.post("/v1/sessions", body).status // 100, 4)

    def test_what_does_not_fit_is_told(self):
        _, token = self.account()
        for body, pointer in (({}, "/name"), ({"name": ""}, "/name"), ({"name": "x" * 101}, "/name"),
                              ({"name": "a\u200bb"}, "/name"), ({"name": " "}, "/name"),
                              ({"name": "x", "scopes": "read"}, "/scopes"), ({"name": "x", "key": "mine"}, "/key"),
                              ({"name": "x", "expires_at": "tomorrow"}, "/expires_at"),
                              ({"name": "x", "hash": "00"}, "/hash")):
            response = self.app.post(KEYS, body, token=token)
            self.assertEqual(response.status, 422, response)
            self.assertEqual([error["pointer"] for error in response.json()["errors"]], [pointer], body)
        self.assertEqual(self.app.request("DELETE", f"{KEYS}/x", token=token).status, 404)

    def test_an_account_about_to_be_deleted_lets_no_key_in(self):
        address, token = self.account()
        key = self.make(token)["key"]
        self.services.sql("UPDATE prong_accounts SET delete_after = now() + interval '1 day'"
                          f" WHERE email = '{address}'")
        self.assert_key_refused(key)


if __name__ == "__main__":
    unittest.main()
