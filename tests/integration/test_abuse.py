"""Limits on the ways in: by account and by source, what does not walk round them, and whom they leave alone."""
import concurrent.futures
import email
import hashlib
import itertools
import json
import re
import time
import unittest
import zlib

from harness import App, Services, binary, wait_for

PASSWORD = "correct horse battery"
NEW_PASSWORD = "another staple of horses"
WRONG = "wrong horse battery"
LADDER = 5  # wrong secrets of one source for one account, before it waits
ACCOUNT = 50  # wrong secrets for one account, before unknown sources wait
MAILS = 5  # to one address
WRONG_OF_SOURCE = 100  # one-time secrets, or API keys
MAILS_OF_SOURCE = 100
SIGN_INS_OF_SOURCE = 300


def setUpModule():
    Abuse.services = Services()
    unittest.addModuleCleanup(Abuse.services.stop)
    # What runs the tests stands for a proxy, so that a request comes from wherever it says.
    Abuse.app = App(binary("prong"), Abuse.services, RATE_LIMITS="on", TRUSTED_PROXIES="loopback", WEB_CONCURRENCY=2)
    unittest.addModuleCleanup(Abuse.app.stop)
    Abuse.app.command("migrate", "up")
    Abuse.app.start()


class Abuse(unittest.TestCase):
    """What the tests share; no tests of its own."""
    services = app = None
    numbers = itertools.count(1)

    def source(self):
        """An address that no other test has used, nor one in its /64."""
        number = next(self.numbers)
        return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"

    def account(self):
        """A new account's address; it was signed up from a source of its own."""
        address = f"someone{next(self.numbers)}@example.com"
        response = self.send("/v1/accounts", {"email": address, "password": PASSWORD}, self.source())
        self.assertEqual(response.status, 201, response)
        return address

    def send(self, path, body, source, app=None, **options):
        return (app or self.app).post(path, body, headers={"X-Forwarded-For": source}, **options)

    def sign_in(self, address, password, source, app=None):
        return self.send("/v1/sessions", {"email": address, "password": password}, source, app)

    def assert_limited(self, response, at_most):
        """The answer is 429, and says how many seconds to wait. Returns them."""
        self.assertEqual((response.status, response.headers["content-type"]), (429, "application/problem+json"),
                         response)
        self.assertEqual(response.json()["code"], "rate_limited")
        seconds = response.headers["retry-after"]
        self.assertRegex(seconds, "^[1-9][0-9]*$")
        self.assertLessEqual(int(seconds), at_most)
        return int(seconds)

    def use_up(self, address, source, tries=LADDER, app=None):
        for _ in range(tries):
            self.assertEqual(self.sign_in(address, WRONG, source, app).status, 401)

    def other_app(self, **settings):
        app = App(binary("prong"), self.services, **{"RATE_LIMITS": "on", "TRUSTED_PROXIES": "loopback",
                                                     "WEB_CONCURRENCY": 1} | settings)
        self.addCleanup(app.stop)
        return app.start()


class Lockout(Abuse):
    def test_a_source_that_guesses_waits_and_the_owner_elsewhere_does_not(self):
        address, attacker, owner = self.account(), self.source(), self.source()
        self.use_up(address, attacker)
        self.assert_limited(self.sign_in(address, WRONG, attacker), 15)
        self.assert_limited(self.sign_in(address, PASSWORD, attacker), 15)  # nor does it learn that it guessed right
        self.assertEqual(self.sign_in(address, PASSWORD, owner).status, 201)
        self.assert_limited(self.sign_in(address, PASSWORD, attacker), 15)  # the owner's success is not the attacker's
        self.assertEqual(self.sign_in(self.account(), PASSWORD, attacker).status, 201)

    def test_the_right_password_begins_anew(self):
        address, source = self.account(), self.source()
        for _ in range(3):
            self.use_up(address, source, LADDER - 1)
            self.assertEqual(self.sign_in(address, PASSWORD, source).status, 201)
        self.use_up(address, source)
        self.assert_limited(self.sign_in(address, PASSWORD, source), 15)

    def test_an_unknown_account_is_answered_alike(self):
        known, unknown = self.account(), "nobody@example.com"
        for address in (known, unknown):
            source = self.source()
            answers = [self.sign_in(address, WRONG, source) for _ in range(LADDER + 2)]
            self.assertEqual([answer.status for answer in answers], [401] * LADDER + [429] * 2)
            self.assertEqual({answer.json()["code"] for answer in answers[LADDER:]}, {"rate_limited"})
            self.assert_limited(answers[-1], 15)

    def test_many_at_once_are_no_more_guesses_than_one_after_the_other(self):
        address, source = self.account(), self.source()
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda _: self.sign_in(address, WRONG, source).status, range(64)))
        self.assertEqual(sorted(set(answers) - {503}), [401, 429], answers)
        self.assertLessEqual(answers.count(401), LADDER)

    def test_it_waits_longer_and_longer(self):
        address, source = self.account(), self.source()
        looked_at, shorter = 0, 0
        for step, (tries, wait) in enumerate(((5, 15), (10, 60), (20, 300), (40, 1800))):
            while True:
                answer = self.sign_in(address, WRONG, source)
                if answer.status == 401:
                    looked_at += 1
                elif self.assert_limited(answer, wait) > shorter:
                    break
                else:
                    self.forget(range(1, step + 1))
            self.assertEqual(looked_at, tries)
            shorter = wait

    def forget(self, steps):
        """As if the waits of these steps of the ladder were over."""
        for step in steps:
            keys = self.services.redis_command("KEYS", f"prong:{{limits}}:sign_in_pair_{step}:*")
            self.services.redis_command("DEL", "none", *keys)


class Account(Abuse):
    def wrong_from_everywhere(self, address, tries):
        statuses = [self.sign_in(address, WRONG, self.source()).status for _ in range(tries)]
        self.assertEqual(set(statuses), {401})

    def test_over_all_sources_known_ones_go_on(self):
        address, home = self.account(), self.source()
        laptop = "2001:db8:aaaa:1::7"
        self.assertEqual(self.sign_in(address, PASSWORD, home).status, 201)
        self.assertEqual(self.sign_in(address, PASSWORD, laptop).status, 201)
        self.wrong_from_everywhere(address, ACCOUNT)
        self.assert_limited(self.sign_in(address, WRONG, self.source()), 72)
        self.assert_limited(self.sign_in(address, PASSWORD, self.source()), 72)
        self.assertEqual(self.sign_in(address, PASSWORD, home).status, 201)
        self.assertEqual(self.sign_in(address, PASSWORD, "2001:db8:aaaa:1:ffff::1").status, 201)  # of the same /64
        self.assert_limited(self.sign_in(address, PASSWORD, "2001:db8:aaaa:2::7"), 72)
        # A known source has its ladder all the same.
        self.use_up(address, home)
        self.assert_limited(self.sign_in(address, PASSWORD, home), 72)

    def test_an_address_that_was_thrown_out_is_not_known(self):
        address, thief = self.account(), self.source()
        self.assertEqual(self.sign_in(address, PASSWORD, thief).status, 201)
        self.services.sql("UPDATE prong_sessions SET revoked_at = now(), revoked_for = 'revoked'"
                          f" WHERE address = '{thief}'")
        self.wrong_from_everywhere(address, ACCOUNT)
        self.assert_limited(self.sign_in(address, PASSWORD, thief), 72)

    def test_an_address_of_long_ago_is_not_known(self):
        address, old = self.account(), self.source()
        self.assertEqual(self.sign_in(address, PASSWORD, old).status, 201)
        self.services.sql(f"UPDATE prong_sessions SET used_at = now() - interval '31 days' WHERE address = '{old}'")
        self.wrong_from_everywhere(address, ACCOUNT)
        self.assert_limited(self.sign_in(address, PASSWORD, old), 72)


class WaysRound(Abuse):
    """None of these is another bucket than the first."""

    def assert_one_bucket(self, tries, app=None):
        """Of many tries (functions that return a response) no more than the ladder's are looked at."""
        answers = [attempt() for attempt in tries]
        looked_at = [answer for answer in answers if answer.status == 401]
        self.assertLessEqual(len(looked_at), LADDER, answers)
        self.assertIn(429, [answer.status for answer in answers])

    def test_addresses_of_one_ipv6_prefix(self):
        address = self.account()
        sources = ["2001:db8:bbbb:1::1", "2001:db8:bbbb:1:ffff:ffff:ffff:ffff", "2001:DB8:BBBB:1:0:0:0:2",
                   "[2001:db8:bbbb:1::3]", "[2001:db8:bbbb:1::4]:1234", "2001:0db8:bbbb:0001:1:2:3:4",
                   "2001:db8:bbbb:1:2::", "2001:db8:bbbb:1::ffff:1.2.3.4"]
        self.assert_one_bucket([lambda source=source: self.sign_in(address, WRONG, source) for source in sources])
        self.assertEqual(self.sign_in(address, PASSWORD, "2001:db8:bbbb:2::1").status, 201)

    def test_forms_of_one_ipv4_address(self):
        address, source = self.account(), self.source()
        one, two, three, four = source.split(".")
        sources = [source, f"::ffff:{source}", f"{source}:80", f"[::ffff:{source}]:80",
                   f"::ffff:{int(one):02x}{int(two):02x}:{int(three):02x}{int(four):02x}",
                   f"64:ff9b::{source}", f"  {source}  ", f"1.2.3.4, {source}"]
        self.assert_one_bucket([lambda source=source: self.sign_in(address, WRONG, source) for source in sources])

    def test_what_stands_before_the_trusted_part_of_x_forwarded_for(self):
        address, source = self.account(), self.source()
        fields = [f"{self.source()}, {source}" for _ in range(4)]
        fields += [f"{self.source()}, {source}, 127.0.0.1", f"{self.source()},,{source}", f"nonsense, {source}",
                   f"{self.source()}, {source}, ::1"]
        self.assert_one_bucket([lambda field=field: self.sign_in(address, WRONG, field) for field in fields])

    def test_x_forwarded_for_of_anybody_else(self):
        address = self.account()
        app = self.other_app(TRUSTED_PROXIES="10.0.0.0/8")
        self.assert_one_bucket([lambda: self.sign_in(address, WRONG, self.source(), app) for _ in range(8)])

    def test_forms_of_the_address_and_the_path(self):
        address, source = self.account(), self.source()
        variations = [("/v1/sessions", form) for form in
                      (address, address.upper(), address.title(), f" {address}", f"{address} ", f"{address}.",
                       address.replace("@", "@\u200b"), address.replace("example", "ex\u0430mple"), address.capitalize())]
        variations += [(path, address) for path in
                       ("//v1/sessions", "/v1//sessions", "/v1/sessions/", "/V1/Sessions", "/v1/%73essions",
                        "/v1/./sessions", "/v1/sessions?x=1", "/v1/sessions;x=1", "/v1/sessions%2f")]
        self.use_up(address, source)
        for path, form in variations:
            response = self.send(path, {"email": form, "password": PASSWORD}, source)
            # Refused, or nothing that would ever be looked at: no address of an account, no route.
            self.assertIn(response.status, (429, 401, 404, 400, 422), (path, form, response))
            if response.status == 401:
                self.assertNotEqual(form.lower().strip(), address)
        self.assertEqual(self.send("/v1/%73essions", {"email": address, "password": PASSWORD}, source).status, 429)
        self.assertEqual(self.sign_in(address.upper(), PASSWORD, source).status, 429)

    def test_another_process_or_tree(self):
        """Limits are in Redis: those of all processes and hosts."""
        address, source = self.account(), self.source()
        app = self.other_app()
        self.use_up(address, source, 3)
        self.use_up(address, source, LADDER - 3, app)
        self.assert_limited(self.sign_in(address, WRONG, source, app), 15)
        self.assert_limited(self.sign_in(address, WRONG, source), 15)


class Ways(Abuse):
    def until_limited(self, path, body, tries, at_most, **options):
        """Sends it from ever new sources; fails unless it is refused after `tries`. Returns the answers before."""
        answers = [self.send(path, body, self.source(), **options) for _ in range(tries)]
        self.assertNotIn(429, [answer.status for answer in answers])
        self.assert_limited(self.send(path, body, self.source(), **options), at_most)
        return answers

    def test_sign_up_of_one_address(self):
        body = {"email": "taken@example.com", "password": PASSWORD}
        answers = self.until_limited("/v1/accounts", body, MAILS, 720)
        self.assertEqual([answer.status for answer in answers], [201] + [409] * (MAILS - 1))
        body["email"] = "TAKEN@Example.com"
        self.assert_limited(self.send("/v1/accounts", body, self.source()), 720)

    def test_sign_up_from_one_source(self):
        source = self.source()
        for number in range(MAILS_OF_SOURCE):
            response = self.send("/v1/accounts", {"email": f"class{number}@example.com", "password": PASSWORD}, source)
            self.assertEqual(response.status, 201, response)
        body = {"email": "another@example.com", "password": PASSWORD}
        self.assert_limited(self.send("/v1/accounts", body, source), 60)
        self.assertEqual(self.send("/v1/accounts", body, self.source()).status, 201)

    def test_mails_to_one_address(self):
        """However they are asked for, and whether there is such an account."""
        known, unknown = self.account(), "nobody-there@example.com"  # signing up was one mail
        answers = []
        for address, left in ((known, MAILS - 1), (unknown, MAILS)):
            for path in ["/v1/password-resets", "/v1/accounts/verification"] * 3:
                response = self.send(path, {"email": address if left % 2 else address.upper()}, self.source())
                self.assertEqual(response.status, 202 if left > 0 else 429, (path, address, left))
                left -= 1
            answers.append(response)
        for answer in answers:
            self.assert_limited(answer, 720)
        response = self.send("/v1/accounts", {"email": unknown, "password": PASSWORD}, self.source())
        self.assert_limited(response, 720)

    def test_a_new_address_for_an_account(self):
        token = self.sign_in(self.account(), PASSWORD, self.source()).json()["access_token"]
        answers = self.until_limited("/v1/account/email", {"email": "flooded@example.com"}, MAILS, 720, token=token)
        self.assertEqual({answer.status for answer in answers}, {202})

    def test_the_password_of_a_signed_in_account(self):
        token, source = self.sign_in(self.account(), PASSWORD, self.source()).json()["access_token"], self.source()
        body = {"current_password": WRONG, "password": NEW_PASSWORD}

        def change(source):
            return self.app.request("PUT", "/v1/account/password", body, token=token,
                                    headers={"X-Forwarded-For": source})
        for _ in range(LADDER):
            self.assertEqual(change(source).json()["code"], "wrong_password")
        self.assert_limited(change(source), 15)
        body["current_password"] = PASSWORD
        self.assert_limited(change(source), 15)
        self.assertEqual(change(self.source()).status, 204)

    def test_one_time_secrets(self):
        """Of all purposes together, by source."""
        source = self.source()
        paths = [("/v1/accounts/verify", {}), ("/v1/password-resets/confirm", {"password": NEW_PASSWORD}),
                 ("/v1/account/email/confirm", {})]
        for number, (path, more) in zip(range(WRONG_OF_SOURCE), itertools.cycle(paths)):
            response = self.send(path, {"token": f"{number:043}"} | more, source)
            self.assertEqual(response.json()["code"], "token_refused", response)
        for path, more in paths:
            self.assert_limited(self.send(path, {"token": "0" * 43} | more, source), 36)
            self.assertEqual(self.send(path, {"token": "0" * 43} | more, self.source()).status, 422)

    def test_api_keys(self):
        source = self.source()

        def ask(number, source):
            secret = f"{number:043}"
            checksum, digits = zlib.crc32(secret.encode()), ""
            for _ in range(6):
                checksum, digit = divmod(checksum, 62)
                digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[digit] + digits
            return self.app.get("/v1/account", token=f"prong_{secret}{digits}", headers={"X-Forwarded-For": source})
        self.assertEqual({ask(number, source).status for number in range(WRONG_OF_SOURCE)}, {401})
        self.assert_limited(ask(1000, source), 36)
        self.assertEqual(ask(1000, self.source()).status, 401)

    def fill(self, name, key, ahead):
        """As if a bucket were full: it is empty again so many seconds from now."""
        secret = self.app.environment["PRONG_SECRET"].encode()
        hash_key = hashlib.blake2b(secret, key=b"prong rate limits".ljust(32, b"\0"), digest_size=32).digest()
        bucket = hashlib.blake2b(f"{name}\0{key}".encode(), key=hash_key, digest_size=16).hexdigest()
        self.services.redis_command("SET", f"prong:{{limits}}:{name}:{bucket}", int((time.time() + ahead) * 1e6), "EX",
                                    ahead)

    def test_floods_of_one_source(self):
        """Limits too wide to be reached by a test."""
        for name, path, body, ahead in (
                ("refresh_source", "/v1/sessions/refresh", {"refresh_token": "x"}, 310),
                ("proof_source", "/v1/accounts/verify", {"token": "x" * 43}, 310),
                ("sign_in_source", "/v1/sessions", {"email": "x@example.com", "password": WRONG}, 310),
                ("sign_in_source_wrong", "/v1/sessions", {"email": "x@example.com", "password": WRONG}, 3610),
                ("sign_up_source", "/v1/accounts", {"email": "x@example.com", "password": PASSWORD}, 3610),
                ("mail_source", "/v1/password-resets", {"email": "x@example.com"}, 3610)):
            source, other = self.source(), self.source()
            self.fill(name, source, ahead)
            self.assert_limited(self.send(path, body, source), 60)
            self.assertNotEqual(self.send(path, body, other).status, 429, name)
            prefix = f"2001:db8:f100:{next(self.numbers):x}:"
            self.fill(name, prefix + ":/64", ahead)
            self.assert_limited(self.send(path, body, prefix + "1:2:3:4"), 60)

    def test_who_resets_the_password_begins_anew(self):
        address, source = self.account(), self.source()
        self.use_up(address, source)
        self.assert_limited(self.sign_in(address, WRONG, source), 15)
        self.assertEqual(self.send("/v1/password-resets", {"email": address}, source).status, 202)
        token = wait_for(lambda: self.reset_token(address), "the mail is there")
        response = self.send("/v1/password-resets/confirm", {"token": token, "password": NEW_PASSWORD}, source)
        self.assertEqual(response.status, 204, response)
        self.assertEqual(self.sign_in(address, NEW_PASSWORD, source).status, 201)

    def reset_token(self, address):
        for path in (self.app.folder / "mail").glob("*.eml"):
            mail = email.message_from_bytes(path.read_bytes())
            if mail["To"] == f"<{address}>" and "new password" in mail["Subject"]:
                return re.search(r"^ {4}([\w-]{43,})\s*$", mail.get_payload(decode=True).decode(), re.MULTILINE)[1]
        return None

    def test_metrics_and_the_log(self):
        address, source = self.account(), self.source()
        app = self.other_app()
        self.use_up(address, source, app=app)
        self.sign_in(address, WRONG, source, app)
        self.assertEqual(self.sign_in(address, PASSWORD, self.source(), app).status, 201)
        for result, expected in (("failed", LADDER), ("limited", 1), ("passed", 1)):
            self.assertEqual(app.metric("prong_ways_in_total", f'way="sign_in",result="{result}"'), expected)
        lines = wait_for(lambda: len(found := self.sign_ins_logged(app)) == LADDER + 2 and found, "the log has them")
        self.assertEqual([line["client.address"] for line in lines[:-1]], [source] * (LADDER + 1))
        self.assertNotEqual(lines[-1]["client.address"], source)
        self.assertTrue(any("sign_in_pair_1" in line for line in app.process.lines))

    @staticmethod
    def sign_ins_logged(app):
        lines = [json.loads(line) for line in list(app.process.lines) if line.startswith("{")]
        return [line for line in lines if line.get("url.path") == "/v1/sessions"]

    def test_the_log_says_that_a_proxy_is_not_trusted(self):
        app = self.other_app(TRUSTED_PROXIES="")
        address = self.account()
        for _ in range(LADDER + 1):
            response = self.sign_in(address, WRONG, self.source(), app)
        self.assert_limited(response, 15)
        wait_for(lambda: any("TRUSTED_PROXIES" in line for line in app.process.lines), "the log says so")

    def test_redis_holds_no_address_and_forgets(self):
        address, source = self.account(), self.source()
        self.use_up(address, source, 2)
        keys = self.services.redis_command("KEYS", "prong:{limits}:*")
        self.assertTrue(keys)
        for key in keys:
            self.assertRegex(key, r"^prong:\{limits\}:[a-z0-9_]+:[0-9a-f]{32}$")
            self.assertNotEqual(self.services.redis_command("PTTL", key), -1, key)
            self.assertRegex(self.services.redis_command("GET", key) or "0" * 16, "^[0-9]{16}$")  # or it is gone

    def test_off_is_off(self):
        address, source = self.account(), self.source()
        app = self.other_app(RATE_LIMITS="off")
        self.use_up(address, source, LADDER + 3, app)
        self.assertEqual(self.sign_in(address, PASSWORD, source, app).status, 201)


class WithoutServices(unittest.TestCase):
    """Each breaks a server of its own."""

    def setUp(self):
        self.services = Services()
        self.addCleanup(self.services.stop)
        self.app = App(binary("prong"), self.services, RATE_LIMITS="on", TRUSTED_PROXIES="loopback", WEB_CONCURRENCY=1)
        self.addCleanup(self.app.stop)
        self.app.command("migrate", "up")
        self.app.start()
        response = self.app.post("/v1/accounts", {"email": "a@example.com", "password": PASSWORD})
        self.assertEqual(response.status, 201, response)

    def sign_in(self, password, source):
        return self.app.post("/v1/sessions", {"email": "a@example.com", "password": password},
                             headers={"X-Forwarded-For": source})

    def test_without_redis_each_process_limits(self):
        self.services.redis.kill()
        statuses = [self.app.post("/v1/password-resets", {"email": "a@example.com"}).status for _ in range(MAILS + 2)]
        self.assertEqual(statuses, [202] * MAILS + [429] * 2)
        flood = [self.sign_in(PASSWORD, "192.0.2.1").status for _ in range(SIGN_INS_OF_SOURCE + 60)]
        self.assertEqual((set(flood[:SIGN_INS_OF_SOURCE]), set(flood)), ({503}, {503, 429}))
        self.assertEqual(self.sign_in(PASSWORD, "192.0.2.2").status, 503)
        self.services.start_redis()
        wait_for(lambda: self.sign_in(PASSWORD, "192.0.2.3").status == 201, "limits are in Redis again")
        self.assertTrue(self.services.redis_command("KEYS", "prong:{limits}:*"))

    def test_without_redis_no_password_is_looked_at_and_none_is_wrong(self):
        self.services.redis.kill()
        for password in [WRONG] * (LADDER + 1) + [PASSWORD] * (ACCOUNT + 1):
            response = self.sign_in(password, "192.0.2.1")
            self.assertEqual((response.status, "retry-after" in response.headers), (503, True), response)
        self.services.start_redis()
        wait_for(lambda: self.sign_in(PASSWORD, "192.0.2.1").status == 201, "the account can sign in again")

    def test_what_fails_for_want_of_postgresql_is_no_wrong_secret(self):
        self.services.postgres.stop()
        statuses = {self.sign_in(PASSWORD, "192.0.2.1").status for _ in range(LADDER + 1)}
        self.assertEqual(statuses, {503})
        self.services.start_postgres()
        wait_for(lambda: self.sign_in(PASSWORD, "192.0.2.1").status == 201, "the account can sign in again")


if __name__ == "__main__":
    unittest.main()
