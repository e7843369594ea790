"""Whether answers that must not tell accounts apart take equally long: rank tests over interleaved tries.

A test that compares two lots of times rejects now and then by chance, and a busy machine adds noise to both. So a verdict
needs two independent rounds that each reject at one in a million; a real difference of a hash (10 ms and more) is found at
once, and one of a tenth of a millisecond mostly.
"""
import json
import math
import random
import time
import unittest

from harness import App, Services, binary

PASSWORD = "correct horse battery"
CHANCE = 1e-6


def rank_test(first, second):
    """The chance, two-sided, that two samples of one distribution are ranked as unevenly as these (Mann and Whitney)."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    sums, n, m, i = [0.0, 0.0], len(first), len(second), 0
    while i < len(ranked):
        ties = i
        while ties < len(ranked) and ranked[ties][0] == ranked[i][0]:
            ties += 1
        for _, whose in ranked[i:ties]:
            sums[whose] += (i + 1 + ties) / 2
        i = ties
    u = sums[0] - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(z) / math.sqrt(2))


class RankTest(unittest.TestCase):
    def test_it_tells_a_shift_from_none(self):
        draw = random.Random(1).gauss
        same, also, later = ([draw(mean, 1) for _ in range(500)] for mean in (10, 10, 10.5))
        self.assertGreater(rank_test(same, also), 0.001)
        self.assertLess(rank_test(same, later), CHANCE)
        self.assertEqual(rank_test([1] * 50, [1] * 50), 1)


def setUpModule():
    Timing.services = Services()
    unittest.addModuleCleanup(Timing.services.stop)
    Timing.app = App(binary("prong"), Timing.services, SIGN_UP="private", WEB_CONCURRENCY=1, JOB_PROCESSES=0)
    unittest.addModuleCleanup(Timing.app.stop)
    Timing.app.command("migrate", "up")
    Timing.app.start()


class Timing(unittest.TestCase):
    services = app = None

    def send(self, connection, path, body):
        """Returns the answer's status and how long it took."""
        content = json.dumps(body).encode()
        head = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(content)}\r\n\r\n")
        start = time.perf_counter()
        connection.send(head.encode() + content)
        response = connection.read_response("POST")
        return response.status, time.perf_counter() - start

    def assert_alike(self, path, status, tries, first, second):
        """`first()` and `second()` make the next body of their kind. Both are warmed up, then tried in random order."""
        for _ in range(2):
            taken = {first: [], second: []}
            with self.app.connect(seconds=600) as connection:
                for number in range(tries + 5):
                    for kind in random.sample((first, second), 2):
                        got, seconds = self.send(connection, path, kind())
                        self.assertEqual(got, status)
                        if number >= 5:
                            taken[kind].append(seconds)
            chance = rank_test(taken[first], taken[second])
            if chance >= CHANCE:
                return
        medians = [sorted(taken[kind])[tries // 2] * 1000 for kind in (first, second)]
        self.fail(f"{path} tells the two apart: medians {medians[0]:.3f} and {medians[1]:.3f} ms, chance {chance:.1e}")

    def test_an_unknown_account_and_a_wrong_password(self):
        self.app.post("/v1/accounts", {"email": "known@example.com", "password": PASSWORD})
        self.services.sql("UPDATE prong_accounts SET email_verified_at = now()")
        names = iter(range(10 ** 9))
        self.assert_alike("/v1/sessions", 401, 500,
                          lambda: {"email": "known@example.com", "password": f"wrong password {next(names):08}"},
                          lambda: {"email": f"x{next(names):08}@example.com", "password": "wrong password 00000000"})

    def test_a_private_sign_up_of_a_new_and_a_taken_address(self):
        self.app.post("/v1/accounts", {"email": "there@example.com", "password": PASSWORD})
        names = iter(range(10 ** 9))
        self.assert_alike("/v1/accounts", 202, 200,
                          lambda: {"email": "there@example.com", "password": f"{PASSWORD} {next(names):08}"},
                          lambda: {"email": f"n{next(names):08}@example.com", "password": f"{PASSWORD} 00000000"})

    def test_a_mail_for_a_known_and_an_unknown_address(self):
        self.app.post("/v1/accounts", {"email": "someone@example.com", "password": PASSWORD})
        names = iter(range(10 ** 9))
        for path in ("/v1/password-resets", "/v1/accounts/verification"):
            with self.subTest(path=path):
                self.assert_alike(path, 202, 500, lambda: {"email": "someone@example.com"},
                                  lambda: {"email": f"u{next(names):06}@example.com"})


if __name__ == "__main__":
    unittest.main()
