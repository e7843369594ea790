"""Signing keys in the real program: `prong keys`, rotation, and what other services see of it."""
import concurrent.futures
import datetime
import json
import re
import unittest

from accounts_case import AccountsCase, header_of
from harness import App, binary, wait_for

NOTICED_WITHIN = 10  # s, by a process that nobody told
ANOTHER_SECRET = "another secret of the tests, 32 bytes or more"


def kid_of(token):
    return header_of(token)["kid"]


def seconds_between(earlier, later):
    parse = datetime.datetime.fromisoformat
    return (parse(later) - parse(earlier)).total_seconds()


def setUpModule():
    Keys.serve(WEB_CONCURRENCY=2)


class Keys(AccountsCase):
    """What the tests share; no tests of its own."""

    def keys(self, *arguments, **settings):
        return self.app.command("keys", *arguments, check=False, **settings)

    def ls(self):
        return json.loads(self.app.command("keys", "ls", "--json").stdout)

    def states(self):
        return [key["state"] for key in self.ls()]

    def pass_time(self, interval):
        """As if all that was done so far had been that much earlier; the processes hear of it."""
        self.services.sql(f"UPDATE prong_signing_keys SET active_from = active_from - interval '{interval}'")
        self.services.redis_command("XADD", "prong:{security}", "*", "keys", "test")

    def come_in(self, address, app=None):
        """Signs in, up first where needed; returns an access token."""
        self.sign_up(address, app=app)
        return self.token(address, app=app)

    def status(self, token, app=None):
        return (app or self.app).get("/v1/account", token=token).status

    def everywhere(self, token, status):
        """Whether each of many requests, over all http processes, has that status."""
        return all(self.status(token) == status for _ in range(8))

    def assert_mistake(self, done, status, text):
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertIn(text, done.stderr)

    def published(self):
        response = self.app.get("/.well-known/jwks.json")
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.headers["cache-control"], "public, max-age=30")
        self.assertEqual(response.headers["content-type"], "application/jwk-set+json")
        return {key["kid"]: key for key in response.json()["keys"]}

    def assert_seen_in_time(self, key):
        """Before it signs, whoever has the set from a process that did not know the key yet must fetch it anew."""
        caching = self.app.get("/.well-known/jwks.json").headers["cache-control"]
        max_age = int(re.fullmatch(r"public, max-age=(\d+)", caching)[1])
        self.assertGreater(seconds_between(key["created_at"], key["signs_from"]), NOTICED_WITHIN + max_age)

    def turn(self, algorithm):
        """Rotates, and returns once every process signs with the new key."""
        done = self.keys("rotate", "--json", SIGNING_ALGORITHM=algorithm)
        self.assertEqual(done.returncode, 0, done.stderr)
        made = json.loads(done.stdout)
        self.assertEqual((made["algorithm"], made["told"]), (algorithm, True))
        self.pass_time("61 seconds")
        wait_for(lambda: all(kid_of(self.come_in(f"{i}@example.com")) == made["kid"] for i in range(4)),
                 "every process signs with the new key")
        return made["kid"]


class Rotation(Keys):
    def setUp(self):
        if self.states()[-1:] == ["next"]:  # of the test before
            self.pass_time("11 minutes")

    def test_the_life_of_keys(self):
        before = self.come_in("life@example.com")
        self.assertEqual(self.status(before), 200)

        rotated = self.keys("rotate", SIGNING_ALGORITHM="ES256")
        self.assertEqual(rotated.returncode, 0, rotated.stderr)
        self.assertRegex(rotated.stdout, r"^\S{43} \(ES256\) signs from 20\S+Z\n$")
        self.assertEqual(self.states()[-2:], ["current", "next"])
        self.assert_mistake(self.keys("rotate"), 75, "the next key is there already and takes over soon")
        following = self.ls()[-1]["kid"]
        self.assertEqual(rotated.stdout.split()[0], following)
        self.assert_seen_in_time(self.ls()[-1])

        # It is published and known before it signs.
        wait_for(lambda: following in self.published(), "the next key is published")
        self.assertEqual(kid_of(self.come_in("life@example.com")), kid_of(before))
        self.pass_time("61 seconds")
        wait_for(lambda: kid_of(self.come_in("life@example.com")) == following, "the next key signs")
        self.assertEqual(self.states()[-2:], ["previous", "current"])
        self.assertTrue(self.everywhere(self.come_in("life@example.com"), 200))
        self.assertTrue(self.everywhere(before, 200))
        self.assertIn(kid_of(before), self.published())

        self.assert_mistake(self.keys("retire", following), 1, f"{following} is the key that signs: run `prong keys rotate`")
        retired = self.keys("retire", kid_of(before))
        self.assertEqual((retired.returncode, retired.stdout),
                         (0, f"{kid_of(before)} is retired, and its tokens are void\n"), retired.stderr)
        wait_for(lambda: self.everywhere(before, 401), "tokens of the retired key are refused", seconds=5)
        self.assertNotIn(kid_of(before), self.published())
        self.assert_mistake(self.keys("retire", kid_of(before)), 1, "there is no key")
        audit = self.services.sql("SELECT actor, action, detail->>'kid' FROM prong_audit WHERE action LIKE 'key.%' ORDER BY id")
        self.assertEqual(audit[-2:], [["command line", "key.rotate", following],
                                      ["command line", "key.retire", kid_of(before)]])

    def test_of_many_at_once_one_rotates(self):
        before = len(self.ls())
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: self.keys("rotate").returncode, range(8)))
        self.assertEqual(sorted(statuses), [0] + [75] * 7)
        self.assertEqual((len(self.ls()), self.states()[-2:]), (before + 1, ["current", "next"]))

    def test_each_algorithm_serves(self):
        for algorithm, kind in ("HS256", None), ("ES256", "EC"), ("EdDSA", "OKP"):
            with self.subTest(algorithm):
                kid = self.turn(algorithm)
                token = self.come_in("each@example.com")
                self.assertEqual(header_of(token), {"alg": algorithm, "typ": "at+jwt", "kid": kid})
                self.assertTrue(self.everywhere(token, 200))
                key = self.published().get(kid)
                self.assertEqual(key and (key["kty"], key["alg"], key["use"]), kind and (kind, algorithm, "sig"))
                self.assertFalse(key and set(key) & {"d", "k"})

    def test_a_new_installation_takes_the_setting(self):
        self.services.sql("CREATE DATABASE hs256")
        url = self.services.database_url.replace("/postgres?", "/hs256?")
        app = App(binary("prong"), self.services, DATABASE_URL=url, SIGNING_ALGORITHM="HS256")
        self.addCleanup(app.stop)
        app.command("migrate", "up")
        self.assertEqual(app.command("keys", "ls").stdout, "No keys: the first start makes one.\n")
        app.start()
        token = self.come_in("new@example.com", app)
        self.assertEqual(header_of(token)["alg"], "HS256")
        self.assertEqual(self.status(token, app), 200)
        self.assertEqual(app.get("/.well-known/jwks.json").json(), {"keys": []})
        self.assertEqual(self.status(token), 401)

    def test_without_redis_it_is_said(self):
        kid = self.turn("EdDSA")
        for key in self.ls():
            if key["state"] != "current":
                self.assertEqual(self.keys("retire", key["kid"]).returncode, 0)
        without = {"REDIS_URL": f"unix://{self.services.folder}/nowhere.sock"}
        made = json.loads(self.keys("rotate", "--json", **without).stdout)
        self.assertIs(made["told"], False)
        done = self.keys("retire", made["kid"], REDIS_URL="")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Redis did not take the word, so http processes notice within ten seconds", done.stdout)
        self.assertEqual([key["kid"] for key in self.ls()], [kid])

    def test_processes_look_for_themselves(self):
        before = self.come_in("alone@example.com")
        self.turn("EdDSA")
        self.assertTrue(self.everywhere(before, 200))
        self.assertEqual(self.keys("retire", kid_of(before), REDIS_URL="").returncode, 0)
        wait_for(lambda: self.everywhere(before, 401), "tokens of the retired key are refused", seconds=20)

    def test_the_schedule(self):
        newest = self.ls()[-1]["kid"]
        self.app.command("schedules", "run", "rotate_keys")
        self.pass_time("89 days")
        wait_for(lambda: self.services.sql("SELECT count(*) FROM prong_outbox WHERE job = 'rotate_keys'") == [["0"]],
                 "the job is done")
        self.assertEqual(self.ls()[-1]["kid"], newest)
        self.pass_time("1 day")
        self.app.command("schedules", "run", "rotate_keys")
        wait_for(lambda: self.states() == ["current", "next"], "the next key is made, and the old ones are gone")
        self.assert_seen_in_time(self.ls()[-1])
        self.assertNotEqual(self.ls()[-1]["kid"], newest)
        self.assertEqual(self.services.sql("SELECT actor FROM prong_audit WHERE action = 'key.rotate' ORDER BY id DESC LIMIT 1"),
                         [["system"]])


class Commands(Keys):
    def test_mistakes(self):
        self.assert_mistake(self.keys(), 64, "there are ls, rotate")
        self.assert_mistake(self.keys("retire"), 64, "name the key: keys retire KID")
        self.assert_mistake(self.keys("retire", "a", "b"), 64, "one argument too many")
        self.assert_mistake(self.keys("retire", "nothing"), 1, "there is no key nothing: `prong keys ls` shows them")
        self.assert_mistake(self.keys("retire", "\udcff"), 1, "there is no such key")
        self.assert_mistake(self.keys("rotate", PRONG_SECRET=ANOTHER_SECRET), 78, "do not open with this PRONG_SECRET")
        self.assert_mistake(self.keys("rotate", PRONG_SECRET=""), 78, "PRONG_SECRET is not set")
        self.assert_mistake(self.keys("rotate", SIGNING_ALGORITHM="RS256"), 78, "'RS256' is not EdDSA, ES256 or HS256")
        away = self.services.database_url.replace("/postgres?host=", "/postgres?host=/nowhere")
        for arguments in ["ls"], ["rotate"], ["retire", "x"]:
            self.assert_mistake(self.keys(*arguments, DATABASE_URL=away), 69, "PostgreSQL cannot be reached")
        self.services.sql("CREATE DATABASE empty")
        url = self.services.database_url.replace("/postgres?", "/empty?")
        self.assert_mistake(self.keys("ls", DATABASE_URL=url), 1, "has `prong migrate up` been run")

    def test_without_accounts(self):
        app = App(binary("jobs_app"), self.services)
        self.addCleanup(app.stop)
        self.assert_mistake(app.command("keys", "ls", check=False), 78, "this application has no accounts")


if __name__ == "__main__":
    unittest.main()
