"""Sessions in the real program: sign-in, refresh, rotation under races, revocation on all processes at once."""
import base64
import concurrent.futures
import time
import unittest
import uuid

from accounts_case import PASSWORD, AccountsCase, claims_of
from harness import wait_for


def setUpModule():
    Sessions.serve(WEB_CONCURRENCY=1, PASSWORD_HASHES=2)


class Sessions(AccountsCase):
    """What the tests share; no tests of its own."""

    def other_host(self, **settings):
        """Another process tree on the same services, which takes the first one's tokens for its own."""
        return self.other_app(PUBLIC_URL=f"http://127.0.0.1:{self.app.port}", **settings).start()

    def new_account(self):
        address = f"{uuid.uuid4()}@example.com"
        self.assertEqual(self.sign_up(address).status, 201)
        return address

    def new_session(self, app=None):
        return self.session(self.new_account(), app=app)

    def refresh(self, token, app=None, **options):
        return (app or self.app).post("/v1/sessions/refresh", {"refresh_token": token}, **options)

    def refreshed(self, token, app=None):
        response = self.refresh(token, app)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def is_accepted(self, session, app=None):
        status = (app or self.app).get("/v1/account", token=session["access_token"]).status
        self.assertIn(status, (200, 401))
        return status == 200

    def assert_refused(self, token, app=None):
        self.assert_problem(self.refresh(token, app), 401, "invalid_refresh_token")

    def row(self, session, columns):
        return self.services.sql(f"SELECT {columns} FROM prong_sessions WHERE id = '{session['session_id']}'")[0]

    def change(self, session, assignments):
        self.services.sql(f"UPDATE prong_sessions SET {assignments} WHERE id = '{session['session_id']}'")

    def audited(self, session, action):
        return self.services.sql("SELECT result FROM prong_audit WHERE account_id ="
                                 f" '{session['account']['id']}' AND action = '{action}' ORDER BY id")


class Refresh(Sessions):
    def test_a_refresh_gives_new_tokens_of_the_same_session(self):
        first = self.new_session()
        self.assertEqual(set(first), {"access_token", "token_type", "expires_in", "refresh_token",
                                      "refresh_expires_in", "session_id", "account"})
        self.assertEqual((first["token_type"], first["expires_in"], first["refresh_expires_in"]),
                         ("Bearer", 600, 30 * 86400))
        second = self.refreshed(first["refresh_token"])
        self.assertEqual(set(second), set(first))
        self.assertEqual((second["session_id"], second["account"]), (first["session_id"], first["account"]))
        self.assertNotEqual(second["refresh_token"], first["refresh_token"])
        self.assertNotEqual(second["access_token"], first["access_token"])
        before, after = claims_of(first["access_token"]), claims_of(second["access_token"])
        for claim in ("iss", "aud", "sub", "sid", "auth_time", "epoch"):
            self.assertEqual(before[claim], after[claim], claim)
        self.assertNotEqual(before["jti"], after["jti"])
        self.assertTrue(self.is_accepted(first) and self.is_accepted(second))
        third = self.refreshed(second["refresh_token"])
        self.assertEqual(third["session_id"], first["session_id"])

    def test_only_hashes_are_stored(self):
        session = self.new_session()
        token = self.refreshed(session["refresh_token"])["refresh_token"]
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        self.assertEqual(raw[:16].hex(), session["session_id"].replace("-", ""))
        row = self.row(session, "prong_sessions::text")[0]
        for secret in (raw.hex(), raw[20:52].hex(), token):
            self.assertNotIn(secret, row)
        self.assertNotIn(token, self.app.process.output())
        self.assertEqual(self.row(session, "refresh_hash = sha256('" + token + "')")[0], "t")

    def test_a_lost_reply_costs_nothing(self):
        first = self.new_session()["refresh_token"]
        successors = {self.refreshed(first)["refresh_token"] for _ in range(3)}
        self.assertEqual(len(successors), 1)
        self.refreshed(successors.pop())

    def test_the_grace_is_for_the_last_token_only(self):
        session = self.new_session()
        second = self.refreshed(session["refresh_token"])["refresh_token"]
        third = self.refreshed(second)["refresh_token"]
        self.assert_refused(session["refresh_token"])
        for token in (third, second, session["refresh_token"]):
            self.assert_refused(token)
        self.assertEqual(self.row(session, "revoked_for"), ["reused"])

    def test_reuse_after_the_grace_ends_the_family(self):
        session = self.new_session()
        second = self.refreshed(session["refresh_token"])
        self.change(session, "rotated_at = rotated_at - interval '21 seconds'")
        self.assert_refused(session["refresh_token"])
        self.assert_refused(second["refresh_token"])
        self.assertEqual(self.row(session, "revoked_for"), ["reused"])
        self.assertEqual(self.audited(session, "session.reuse"), [["ended"]])
        self.assertFalse(self.is_accepted(session) or self.is_accepted(second))
        wait_for(lambda: f"session {session['session_id']} was used again" in self.app.process.output(),
                 "the log warns of it")

    def test_without_a_grace_every_reuse_ends_it(self):
        app = self.other_host(REFRESH_GRACE=0, WEB_CONCURRENCY=1)
        session = self.new_session()
        second = self.refreshed(session["refresh_token"], app)
        self.assert_refused(session["refresh_token"], app)
        self.assert_refused(second["refresh_token"], app)

    def test_a_made_up_token_touches_nothing(self):
        session = self.new_session()
        token = session["refresh_token"]
        before = self.row(session, "prong_sessions::text")
        raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        made_up = ["", "x", token[:-1], token + "A", token + "=", token.replace(token[0], "!", 1), token.upper(),
                   session["access_token"], "A" * 91]
        for place in (0, 15, 16, 19, 20, 51, 52, 67):
            changed = bytearray(raw)
            changed[place] ^= 1
            made_up.append(base64.urlsafe_b64encode(changed).rstrip(b"=").decode())
        for text in made_up:
            with self.subTest(text=text):
                self.assert_refused(text)
        self.assertEqual(self.row(session, "prong_sessions::text"), before)
        self.refreshed(token)

    def test_what_is_no_refresh_token_is_422(self):
        for body in ({"refresh_token": 7}, {"token": "x"}, {}):
            self.assertEqual(self.app.post("/v1/sessions/refresh", body).status, 422)
        self.assertEqual(self.app.post("/v1/sessions/refresh").status, 400)

    def test_idle_and_old_sessions_are_over(self):
        for change in ("used_at = now() - interval '30 days 1 second'", "expires_at = now() - interval '1 second'"):
            with self.subTest(change):
                session = self.new_session()
                self.change(session, change)
                self.assert_refused(session["refresh_token"])
                self.assertEqual(self.row(session, "revoked_at"), [""])
                self.assertEqual(self.audited(session, "session.reuse"), [])
        session = self.new_session()
        self.change(session, "used_at = now() - interval '29 days', expires_at = now() + interval '60 seconds'")
        second = self.refreshed(session["refresh_token"])
        for name in ("expires_in", "refresh_expires_in"):
            self.assertLessEqual(second[name], 60)
        self.assertLessEqual(claims_of(second["access_token"])["exp"], time.time() + 61)

    def test_refreshing_keeps_it_from_being_idle(self):
        session = self.new_session()
        self.change(session, "used_at = now() - interval '29 days'")
        token = self.refreshed(session["refresh_token"])["refresh_token"]
        self.change(session, "used_at = used_at - interval '29 days'")
        self.refreshed(token)

    def test_a_refresh_brings_the_present_scopes(self):
        session = self.new_session()
        self.assertNotIn("scope", claims_of(session["access_token"]))
        self.services.sql(f"UPDATE prong_accounts SET scopes = '{{admin,notes:write}}', epoch = 3"
                          f" WHERE id = '{session['account']['id']}'")
        claims = claims_of(self.refreshed(session["refresh_token"])["access_token"])
        self.assertEqual((claims["scope"], claims["epoch"]), ("admin notes:write", 3))

    def test_a_disabled_account_refreshes_nothing(self):
        address = self.new_account()
        session = self.session(address)
        self.services.sql(f"UPDATE prong_accounts SET disabled_at = now() WHERE email = '{address}'")
        self.assert_refused(session["refresh_token"])
        self.services.sql(f"UPDATE prong_accounts SET disabled_at = NULL WHERE email = '{address}'")
        self.refreshed(session["refresh_token"])
        self.services.sql(f"DELETE FROM prong_accounts WHERE email = '{address}'")
        self.assert_refused(session["refresh_token"])


class Races(Sessions):
    def at_once(self, count, function):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return [future.result() for future in [pool.submit(function, i) for i in range(count)]]

    def test_64_at_once_are_one_rotation(self):
        apps = [self.app, self.other_host(WEB_CONCURRENCY=2)]
        for _ in range(3):
            session = self.new_session()
            answers = self.at_once(64, lambda i: self.refresh(session["refresh_token"], apps[i % 2]))
            self.assertEqual({answer.status for answer in answers}, {200}, answers)
            self.assertEqual(len({answer.json()["refresh_token"] for answer in answers}), 1)
            self.assertEqual(self.row(session, "revoked_at"), [""])
            token = answers[0].json()["refresh_token"]
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            self.assertEqual(int.from_bytes(raw[16:20], "big"), 1)
            self.refreshed(token)

    def test_64_at_once_by_cookie_get_the_same_cookie(self):
        name = "__Host-prong_refresh"
        first = self.app.post("/v1/sessions", {"email": self.new_account(), "password": PASSWORD, "cookie": True})
        header = {"Cookie": f"{name}={first.cookies[name].split(';')[0]}"}
        answers = self.at_once(64, lambda _: self.app.post("/v1/sessions/refresh", {}, headers=header))
        self.assertEqual({answer.status for answer in answers}, {200}, answers)
        self.assertEqual(len({answer.cookies[name] for answer in answers}), 1)

    def test_signing_in_while_all_others_are_ended_loses_nobody(self):
        address = self.new_account()
        first = self.session(address)

        def act(i):
            if i == 4:
                return self.app.request("DELETE", "/v1/sessions?except=current", token=first["access_token"])
            return self.app.post("/v1/sessions", {"email": address, "password": PASSWORD})
        answers = self.at_once(8, act)
        self.assertEqual(answers[4].status, 200, answers[4])
        alive = self.services.sql("SELECT id FROM prong_sessions WHERE revoked_at IS NULL AND account_id ="
                                  f" '{first['account']['id']}'")
        for answer in answers[:4] + answers[5:]:
            if answer.status == 503:  # too many hashes at once
                continue
            self.assertEqual(self.is_accepted(answer.json()), [answer.json()["session_id"]] in alive)
        self.assertTrue(self.is_accepted(first))

    def no_sign_in_outlives(self, address, change):
        """Of those that sign in while `change()` shuts them out, nobody stays in."""
        answers = self.at_once(9, lambda i: change() if i == 4 else self.app.post(
            "/v1/sessions", {"email": address, "password": PASSWORD}))
        for answer in answers[:4] + answers[5:]:
            self.assertIn(answer.status, (201, 401, 403, 503), answer)
            if answer.status == 201:
                self.assertFalse(self.is_accepted(answer.json()))
                self.assert_refused(answer.json()["refresh_token"])

    def test_no_sign_in_outlives_a_new_password(self):
        for _ in range(3):
            address = self.new_account()
            first = self.session(address)
            self.no_sign_in_outlives(address, lambda: self.assertEqual(self.app.request(
                "PUT", "/v1/account/password", {"current_password": PASSWORD, "password": PASSWORD + " again"},
                token=first["access_token"]).status, 204))
            self.assertTrue(self.is_accepted(first))

    def test_no_sign_in_outlives_disabling(self):
        for _ in range(3):
            address = self.new_account()
            first = self.session(address)
            self.no_sign_in_outlives(address, lambda: self.app.command("accounts", "disable", address))
            self.assertFalse(self.is_accepted(first))

    def test_a_revoked_family_never_revives(self):
        for _ in range(5):
            session = self.new_session()
            ended = []

            def act(i):
                if i == 8:
                    answer = self.app.request("DELETE", "/v1/sessions/current", token=session["access_token"])
                    ended.append(time.monotonic())
                    return answer
                return self.refresh(session["refresh_token"])

            answers = self.at_once(16, act)
            self.assertEqual(answers[8].status, 204, answers[8])
            fresh = [answer.json() for i, answer in enumerate(answers) if i != 8 and answer.status == 200]
            self.assertEqual({answer.status for i, answer in enumerate(answers) if i != 8} - {200, 401}, set())
            self.assertEqual(self.row(session, "revoked_for"), ["signed_out"])
            for one in [session, *fresh]:
                self.assert_refused(one["refresh_token"])
                self.assertFalse(self.is_accepted(one))

    def test_of_many_reuses_one_ends_it(self):
        session = self.new_session()
        self.refreshed(session["refresh_token"])
        self.change(session, "rotated_at = rotated_at - interval '1 hour'")
        answers = self.at_once(16, lambda _: self.refresh(session["refresh_token"]))
        self.assertEqual({answer.status for answer in answers}, {401})
        self.assertEqual(self.audited(session, "session.reuse"), [["ended"]])


class Outages(Sessions):
    def test_without_postgresql_tokens_serve_and_nothing_is_used_up(self):
        services, app = self.serve_apart("test_app", WEB_CONCURRENCY=2)
        credentials = {"email": "ada@example.com", "password": PASSWORD}
        self.assertEqual(app.post("/v1/accounts", credentials).status, 201)
        session, browser = (app.post("/v1/sessions", credentials | {"cookie": cookie}) for cookie in (False, True))
        token = session.json()["access_token"]
        cookie = {"Cookie": "; ".join(f"{name}={value.split(';')[0]}" for name, value in browser.cookies.items())}
        services.postgres.kill()
        for answer in (self.refresh(session.json()["refresh_token"], app), app.post("/v1/sessions", credentials),
                       app.post("/v1/sessions/refresh", {}, headers=cookie),
                       app.request("DELETE", "/v1/sessions/current", token=token)):
            self.assertEqual((answer.status, answer.cookies), (503, {}), answer)
            self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        for _ in range(8):
            self.assertEqual(app.get("/v1/private", token=token).status, 200)
        self.assertEqual(app.get("/v1/private", headers=cookie).status, 200)
        services.start_postgres()
        wait_for(lambda: self.refresh(session.json()["refresh_token"], app).status == 200, "it refreshes again")
        wait_for(lambda: app.post("/v1/sessions/refresh", {}, headers=cookie).status == 200, "that of cookies too")


class Limits(Sessions):
    MOST, MOST_ENDED, MANY = 100, 300, 50_000  # as sessions.h says; MANY is far more

    def pile_up(self, session, count, **columns):
        """Sessions of the same account, as if so many had been started; each was used a little earlier than the next."""
        columns = {"used_at": "now()", "revoked_at": "NULL"} | columns
        columns["used_at"] += " - (" + str(count) + " - i) * interval '1 millisecond'"
        self.services.sql(f"INSERT INTO prong_sessions (id, account_id, expires_at, refresh_hash, {', '.join(columns)})"
                          f" SELECT gen_random_uuid(), '{session['account']['id']}', now() + interval '80 days',"
                          f" sha256(i::text::bytea), {', '.join(columns.values())} FROM generate_series(1, {count}) i")

    def count(self, session, condition):
        return int(self.services.sql(f"SELECT count(*) FROM prong_sessions WHERE account_id ="
                                     f" '{session['account']['id']}' AND {condition}")[0][0])

    def test_where_there_are_100_a_sign_in_ends_the_one_used_longest_ago(self):
        address = self.new_account()
        sessions = [self.session(address) for _ in range(self.MOST)]
        self.assertEqual(self.count(sessions[0], "revoked_at IS NULL"), self.MOST)
        sessions[0] = self.refreshed(sessions[0]["refresh_token"])
        sessions.append(self.session(address))
        out = sessions.pop(1)
        self.assertFalse(self.is_accepted(out))
        self.assert_refused(out["refresh_token"])
        self.assertEqual(self.row(out, "revoked_for"), ["evicted"])
        self.assertEqual(self.audited(out, "session.evict"), [["ok"]])
        self.assertEqual(self.count(out, "revoked_at IS NULL"), self.MOST)
        self.assertTrue(all(self.is_accepted(session) for session in sessions))

    def test_64_sign_ins_at_once_are_no_more_than_100(self):
        app = self.other_host(WEB_CONCURRENCY=2, PASSWORD_HASHES=8, DATABASE_TIMEOUT="60s")
        address = self.new_account()
        first = self.session(address)
        self.pile_up(first, self.MOST - 1, used_at="now() - interval '1 hour'")
        self.change(first, "used_at = now() - interval '90 minutes'")
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda _: self.sign_in(address, app=app), range(64)))
        self.assertLessEqual({answer.status for answer in answers}, {201, 503})  # 503: too many hashes at once
        started = [answer.json() for answer in answers if answer.status == 201]
        self.assertGreaterEqual(len(started), 8)
        self.assertEqual(self.count(first, "revoked_at IS NULL"), self.MOST)
        self.assertEqual(self.count(first, "revoked_for = 'evicted'"), len(started))
        self.assertTrue(all(self.is_accepted(session, app) for session in started))
        wait_for(lambda: not self.is_accepted(first, app), "who is out is out in all processes")

    def test_of_those_that_ended_the_latest_are_kept(self):
        address = self.new_account()
        session = self.session(address)
        self.pile_up(session, 2 * self.MOST_ENDED, revoked_at="now()", used_at="now() - interval '1 hour'")
        kept = self.services.sql("SELECT id FROM prong_sessions WHERE revoked_at IS NOT NULL AND account_id ="
                                 f" '{session['account']['id']}' ORDER BY used_at DESC LIMIT {self.MOST_ENDED}")
        self.session(address)
        self.assertCountEqual(self.services.sql("SELECT id FROM prong_sessions WHERE revoked_at IS NOT NULL AND"
                                                f" account_id = '{session['account']['id']}'"), kept)
        self.assertTrue(self.is_accepted(session))

    def test_who_has_piled_up_very_many_is_shut_out(self):
        def change_password(_, session):
            return self.app.request("PUT", "/v1/account/password",
                                    {"current_password": PASSWORD, "password": PASSWORD + " again"},
                                    token=session["access_token"]).status == 204

        def end_others(_, session):
            answer = self.app.request("DELETE", "/v1/sessions?except=current", token=session["access_token"])
            return answer.json() == {"count": self.MANY + 1}

        def disable(address, _):
            return "ended" in self.app.command("accounts", "disable", address).stdout

        def revoke(address, _):
            return f"{self.MANY + 2} sessions" in self.app.command("accounts", "revoke", address, "--sessions").stdout

        for shut_out, left in ((change_password, 1), (end_others, 1), (disable, 0), (revoke, 0)):
            with self.subTest(shut_out.__name__):
                address = self.new_account()
                owner, thief = self.session(address), self.session(address)
                for session in (owner, thief):
                    self.change(session, "used_at = now() - interval '20 minutes'")
                self.pile_up(owner, self.MANY)
                revocations = "SELECT coalesce(max(id), 0) FROM prong_revocations"
                before = int(self.services.sql(revocations)[0][0])
                self.assertTrue(shut_out(address, owner))
                self.assertEqual(self.count(owner, "revoked_at IS NULL"), left)
                self.assertLessEqual(int(self.services.sql(revocations)[0][0]) - before, self.MOST + 2)
                self.assertFalse(self.is_accepted(thief))
                self.assert_refused(thief["refresh_token"])
                if left:
                    self.assertTrue(self.is_accepted(self.refreshed(owner["refresh_token"])))


class Housekeeping(Sessions):
    def test_what_ended_long_ago_is_deleted(self):
        changes = {"revoked_at = now() - interval '31 days'": False, "revoked_at = now() - interval '29 days'": True,
                   "expires_at = now() - interval '31 days'": False, "used_at = now() - interval '61 days'": False,
                   "used_at = now() - interval '59 days'": True, "used_at = now()": True}
        sessions = [self.new_session() for _ in changes]
        for session, change in zip(sessions, changes):
            self.change(session, change)
        self.services.sql("INSERT INTO prong_revocations (subject, revoked_at)"
                          " VALUES (gen_random_uuid(), now() - interval '3 hours')")
        self.app.command("jobs", "add", "accounts_housekeeping")
        wait_for(lambda: self.services.sql("SELECT count(*) FROM prong_sessions WHERE id IN ("
                                           + ", ".join(f"'{s['session_id']}'" for s in sessions) + ")") == [["3"]],
                 "three are deleted")
        for session, stays in zip(sessions, changes.values()):
            self.assertEqual(self.services.sql(f"SELECT count(*) FROM prong_sessions WHERE id = "
                                               f"'{session['session_id']}'"), [[str(int(stays))]])
        self.assertEqual(self.services.sql("SELECT FROM prong_revocations WHERE revoked_at < now() - interval"
                                           " '2 hours 10 minutes'"), [])


class Listing(Sessions):
    def test_sessions_are_listed_with_device_and_address(self):
        address = self.new_account()
        first = self.session(address, headers={"User-Agent": "Device/1"})
        second = self.session(address, headers={"User-Agent": "Device/2"})
        other = self.new_session()
        answer = self.app.get("/v1/sessions", token=second["access_token"])
        self.assertEqual(answer.status, 200, answer)
        items = {item["id"]: item for item in answer.json()["items"]}
        self.assertEqual(set(items), {first["session_id"], second["session_id"]})
        self.assertEqual([items[s["session_id"]]["is_current"] for s in (first, second)], [False, True])
        self.assertEqual([items[s["session_id"]]["device"] for s in (first, second)], ["Device/1", "Device/2"])
        self.assertEqual({item["address"] for item in items.values()}, {"127.0.0.1"})
        self.assertEqual(set(items[first["session_id"]]), {"id", "device", "address", "is_cookie", "is_current",
                                                           "created_at", "used_at", "expires_at"})
        self.assert_problem(self.app.request("DELETE", f"/v1/sessions/{other['session_id']}",
                                             token=second["access_token"]), 404, "not_found")
        self.assertTrue(self.is_accepted(other))

    def test_one_session_is_ended(self):
        address = self.new_account()
        first, second = self.session(address), self.session(address)
        path = f"/v1/sessions/{first['session_id']}"
        self.assertEqual(self.app.request("DELETE", path, token=second["access_token"]).status, 204)
        self.assertFalse(self.is_accepted(first))
        self.assert_refused(first["refresh_token"])
        self.assertTrue(self.is_accepted(second))
        self.assert_problem(self.app.request("DELETE", path, token=second["access_token"]), 404, "not_found")
        self.assert_problem(self.app.request("DELETE", "/v1/sessions/none", token=second["access_token"]), 404,
                            "not_found")
        self.assertEqual(self.audited(second, "session.revoke"), [["ok"]])

    def test_all_others_are_ended(self):
        address = self.new_account()
        sessions = [self.session(address) for _ in range(4)]
        answer = self.app.request("DELETE", "/v1/sessions?except=current", token=sessions[2]["access_token"])
        self.assertEqual((answer.status, answer.json()), (200, {"count": 3}))
        self.assertEqual([self.is_accepted(session) for session in sessions], [False, False, True, False])
        answer = self.app.request("DELETE", "/v1/sessions", token=sessions[2]["access_token"])
        self.assertEqual((answer.status, answer.json()), (200, {"count": 1}))
        self.assertFalse(self.is_accepted(sessions[2]))
        self.assertEqual(self.app.request("DELETE", "/v1/sessions?except=x", token=self.session(address)[
            "access_token"]).status, 400)

    def test_sign_out(self):
        session = self.new_session()
        self.assertEqual(self.app.request("DELETE", "/v1/sessions/current", token=session["access_token"]).status, 204)
        self.assertFalse(self.is_accepted(session))
        self.assert_refused(session["refresh_token"])
        self.assertEqual(self.row(session, "revoked_for"), ["signed_out"])
        self.assertEqual(self.audited(session, "sign_out"), [["ok"]])
        self.assertEqual(self.app.request("DELETE", "/v1/sessions/current", token=session["access_token"]).status, 401)


if __name__ == "__main__":
    unittest.main()
