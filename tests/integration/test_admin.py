"""Queues and jobs over HTTP: who may see and change them, and what each change does to the real workers."""
import unittest
import uuid

from harness import App, Services, binary, wait_for

PASSWORD = "correct horse battery"
QUEUE = "/v1/admin/queues/letters"
JOBS = "/v1/admin/jobs"
ROUTES = [
    ("GET", "/v1/admin/queues"),
    ("POST", f"{QUEUE}/pause"),
    ("POST", f"{QUEUE}/resume"),
    ("GET", JOBS),
    ("POST", JOBS),
    ("POST", f"{JOBS}/retry"),
    ("GET", f"{JOBS}/letters/{uuid.uuid4()}"),
    ("POST", f"{JOBS}/letters/{uuid.uuid4()}/retry"),
    ("POST", f"{JOBS}/letters/{uuid.uuid4()}/cancel"),
]
TABLES = """
CREATE TABLE strikes (recipient text PRIMARY KEY);
CREATE TABLE deliveries (recipient text, trace_id text);
"""


def make_app(services):
    app = App(binary("test_app"), services, WEB_CONCURRENCY=1, JOB_PROCESSES=1)
    app.command("migrate", "up")
    services.sql(TABLES)
    return app


def sign_in(app, address, admin):
    response = app.post("/v1/accounts", {"email": address, "password": PASSWORD})
    assert response.status == 201, response
    if admin:
        app.command("accounts", "grant", address, "admin")
    response = app.post("/v1/sessions", {"email": address, "password": PASSWORD})
    assert response.status == 201, response
    return response.json()["access_token"]


def setUpModule():
    AdminTest.services = Services()
    unittest.addModuleCleanup(AdminTest.services.stop)
    AdminTest.app = make_app(AdminTest.services)
    unittest.addModuleCleanup(AdminTest.app.stop)
    AdminTest.app.start()
    AdminTest.admin = sign_in(AdminTest.app, "admin@example.com", True)
    AdminTest.other = sign_in(AdminTest.app, "other@example.com", False)


class AdminTest(unittest.TestCase):
    """What the tests share; no tests of its own."""
    services = app = admin = other = None

    def setUp(self):
        self.addCleanup(self.clean)

    def clean(self):
        """Leaves nothing in the queue, so that each test counts its own."""
        self.services.sql("DELETE FROM strikes; DELETE FROM deliveries")
        self.post(f"{QUEUE}/resume")
        for job in self.list(queue="letters", limit=1000):
            self.post(f"{JOBS}/letters/{job['id']}/cancel")
        wait_for(lambda: self.list(queue="letters") == [], "the queue is empty")

    def get(self, path):
        return self.app.get(path, token=self.admin)

    def post(self, path, body=None):
        return self.app.post(path, body, token=self.admin)

    def list(self, **query):
        response = self.get(JOBS + "?" + "&".join(f"{name}={value}" for name, value in query.items()))
        self.assertEqual(response.status, 200, response)
        return response.json()["items"]

    def queue(self, name="letters"):
        response = self.get("/v1/admin/queues")
        self.assertEqual(response.status, 200, response)
        return {queue["name"]: queue for queue in response.json()["items"]}[name]

    def show(self, job):
        return self.get(f"{JOBS}/letters/{job}")

    def add(self, recipient, status=201, name="deliver", payload=None, **options):
        """Enqueues a letter; returns the id."""
        payload = {} if name == "misdeliver" else {"payload": {"recipient": recipient, **(payload or {})}}
        response = self.post(JOBS, {"name": name, **payload, **options})
        self.assertEqual(response.status, status, response)
        return response.json()["id"]

    def deliveries(self, recipient):
        return int(self.services.sql(f"SELECT count(*) FROM deliveries WHERE recipient = '{recipient}'")[0][0])

    def wait_until_delivered(self, recipient):
        wait_for(lambda: self.deliveries(recipient) == 1, f"the letter to {recipient} is delivered")

    def wait_for_state(self, job, state):
        return wait_for(lambda: (found := self.show(job)).status == 200 and found.json()["state"] == state
                        and found.json(), f"the job is {state}")

    def kill(self, *recipients):
        """Dead jobs, one for each."""
        for recipient in recipients:
            self.services.sql(f"INSERT INTO strikes VALUES ('{recipient}')")
        jobs = [self.add(recipient) for recipient in recipients]
        for job in jobs:
            self.wait_for_state(job, "dead")
        self.services.sql("DELETE FROM strikes")
        return jobs

    def assert_problem(self, response, status, code):
        self.assertEqual((response.status, response.headers["content-type"]), (status, "application/problem+json"),
                         response)
        self.assertEqual(response.json()["code"], code)

    def assert_refused(self, body, pointer, code):
        response = self.post(JOBS, body)
        self.assert_problem(response, 422, "invalid_body")
        self.assertEqual([(error["pointer"], error["code"]) for error in response.json()["errors"]],
                         [(pointer, code)])


class Access(AdminTest):
    def test_without_a_token_it_is_401(self):
        for method, path in ROUTES:
            response = self.app.request(method, path)
            self.assertEqual((response.status, response.headers["www-authenticate"]), (401, "Bearer"), (method, path))

    def test_an_ordinary_account_gets_403(self):
        job = self.add("access", delay=1000)
        for method, path in ROUTES + [("POST", f"{JOBS}/letters/{job}/cancel")]:
            self.assert_problem(self.app.request(method, path, token=self.other), 403, "admin_required")
        self.assertFalse(self.queue()["paused"])
        self.assertEqual(self.show(job).json()["state"], "delayed")

    def test_the_routes_are_listed_as_the_admins(self):
        shown = self.app.command("routes").stdout
        for method, path in ROUTES[:6]:
            path = path.replace("letters", "{queue}")
            self.assertRegex(shown, rf"(?m)^{method} +{path} +admin ".replace("{", r"\{").replace("}", r"\}"))

    def test_without_accounts_there_are_none(self):
        app = App(binary("drill_app"), self.services)
        self.addCleanup(app.stop)
        self.assertNotIn("/v1/admin", app.command("routes").stdout)


class Queues(AdminTest):
    def test_a_paused_queue_keeps_its_jobs(self):
        response = self.post(f"{QUEUE}/pause")
        self.assertEqual((response.status, response.json()["paused"]), (200, True))
        self.add("paused")
        later = self.add("later", delay=1000)
        queue = self.queue()
        self.assertEqual((queue["paused"], queue["ready"], queue["delayed"], queue["running"], queue["dead"]),
                         (True, 1, 1, 0, 0))
        self.assertGreater(queue["bytes"], 0)
        self.assertGreaterEqual(queue["oldest_seconds"], 0)
        self.assertEqual(self.deliveries("paused"), 0)

        response = self.post(f"{QUEUE}/resume")
        self.assertEqual((response.status, response.json()["paused"]), (200, False))
        self.wait_until_delivered("paused")
        self.assertEqual(self.show(later).json()["state"], "delayed")
        self.assertIn(" paused the queue letters", self.app.process.output())

    def test_every_queue_is_there(self):
        queue = self.queue("mail")
        self.assertEqual((queue["ready"], queue["paused"]), (0, False))
        self.assertNotIn("oldest_seconds", queue)
        wait_for(lambda: self.queue("mail")["consumers"] == 1, "the worker is counted")

    def test_an_unknown_queue_is_404(self):
        for path in ("/v1/admin/queues/nowhere/pause", "/v1/admin/queues/nowhere/resume",
                     "/v1/admin/queues/lett%65r/pause", f"{JOBS}/nowhere/{uuid.uuid4()}/cancel"):
            self.assert_problem(self.post(path), 404, "unknown_queue")
        self.assert_problem(self.get(f"{JOBS}?queue=nowhere"), 404, "unknown_queue")
        self.assert_problem(self.post(f"{JOBS}/retry", {"queue": "nowhere"}), 404, "unknown_queue")


class Lists(AdminTest):
    def test_jobs_are_listed_by_queue_and_state(self):
        self.post(f"{QUEUE}/pause")
        first, second = self.add("first"), self.add("second", key="tenant 1")
        later = self.add("later", delay=1000)
        listed = self.list(queue="letters")
        self.assertEqual({(job["id"], job["state"]) for job in listed},
                         {(first, "ready"), (second, "ready"), (later, "delayed")})
        self.assertEqual({job["name"] for job in listed}, {"deliver"})
        self.assertEqual([job.get("key") for job in listed if job["id"] == second], ["tenant 1"])
        self.assertEqual([job["id"] for job in self.list(queue="letters", state="delayed")], [later])
        self.assertEqual(len(self.list(queue="letters", limit=2)), 2)
        self.assertEqual(len(self.list(queue="letters", state="ready", offset=1)), 1)
        self.assertEqual({job["id"] for job in self.list(limit=1000)} & {first, second, later}, {first, second, later})
        self.assertEqual(self.list(queue="mail", state="dead"), [])

    def test_the_dead_say_why(self):
        job, = self.kill("dead")
        listed, = self.list(queue="letters", state="dead")
        self.assertEqual((listed["id"], listed["error"]),
                         (job, {"code": "strike", "message": "The postmen are on strike."}))
        self.assertEqual((listed["attempt"], listed["max_attempts"]), (1, 1))
        self.assertIn("at", listed)

    def test_wrong_filters_are_400(self):
        for query in ("state=gone", "limit=0", "limit=1001", "limit=x", "offset=-1", "queue=letters&queue=mail",
                      "page=1", "offset=1", "offset=1&queue=letters", "offset=1&state=dead"):
            self.assert_problem(self.get(f"{JOBS}?{query}"), 400, "invalid_query")


class Show(AdminTest):
    def test_all_is_shown_but_secrets(self):
        self.services.sql("INSERT INTO strikes VALUES ('shown')")
        job = self.add("shown", payload={"pin": "1234", "ms": 5}, priority=7)
        shown = self.wait_for_state(job, "dead")
        self.assertEqual((shown["id"], shown["queue"], shown["name"]), (job, "letters", "deliver"))
        self.assertEqual(shown["payload"], {"recipient": "shown", "pin": "(secret)", "ms": 5})
        self.assertEqual(shown["error"]["code"], "strike")
        self.assertEqual(shown["report"], {"done": 1, "total": 2, "log": ["on the way to shown"]})
        self.assertEqual((shown["header"]["name"], shown["header"]["priority"]), ("deliver", 7))
        self.assertIn("request_id", shown["header"])
        self.assertIn("trace", shown["header"])
        self.assertIn("enqueued_at", shown)
        self.assertNotIn("result", shown)

    def test_the_result_of_a_job_that_is_done(self):
        job = self.add("done", payload={"pin": "1234"})
        shown = self.wait_for_state(job, "done")
        self.assertEqual(shown["result"], {"recipient": "done", "pin": "(secret)"})
        self.assertNotIn("payload", shown)
        self.assertNotIn("attempt", shown)

    def test_a_running_job_says_who_runs_it(self):
        job = self.add("running", payload={"ms": 60000})
        shown = self.wait_for_state(job, "running")
        self.assertTrue(shown["owner"])
        self.assertEqual(self.queue()["running"], 1)
        wait_for(lambda: self.show(job).json().get("report", {}).get("done") == 1, "the progress is shown")

    def test_an_unknown_job_is_404(self):
        for job in (uuid.uuid4(), "1", "%20", "0190a5d4-0000-7000-8000-00000000000g"):
            self.assert_problem(self.show(job), 404, "job_not_found")
            self.assert_problem(self.post(f"{JOBS}/letters/{job}/retry"), 404, "job_not_found")
            self.assert_problem(self.post(f"{JOBS}/letters/{job}/cancel"), 404, "job_not_found")
        job = self.add("elsewhere", delay=1000)
        self.assert_problem(self.get(f"{JOBS}/mail/{job}"), 404, "job_not_found")
        self.assertEqual(self.show(job.upper()).json()["id"], job)


class Add(AdminTest):
    def test_it_runs(self):
        response = self.post(JOBS, {"name": "deliver", "payload": {"recipient": "ada"}})
        self.assertEqual(response.status, 201, response)
        self.assertEqual((response.json()["queue"], response.json()["existing"]), ("letters", False))
        self.wait_until_delivered("ada")

    def test_options_are_obeyed(self):
        job = self.add("optional", delay=1000.5, priority=-3, key="k", expires=5000, unique="u",
                       unique_until="started", durable=False)
        shown = self.show(job).json()
        self.assertEqual((shown["state"], shown["key"], shown["header"]["priority"], shown["header"]["unique"]),
                         ("delayed", "k", -3, "u"))
        self.assertEqual(self.add("optional", status=200, unique="u"), job)
        timed = self.add("timed", at="2999-01-01T00:00:00Z")
        self.assertEqual(self.show(timed).json()["at"], "2999-01-01T00:00:00Z")

    def test_a_payload_that_does_not_fit_is_422_with_pointers(self):
        response = self.post(JOBS, {"name": "deliver", "payload": {"ms": -1, "recipent": "x"}})
        self.assert_problem(response, 422, "invalid_body")
        self.assertEqual({(error["pointer"], error["code"]) for error in response.json()["errors"]},
                         {("/payload/ms", "range"), ("/payload/recipent", "unknown"),
                          ("/payload/recipient", "missing")})
        self.assert_refused({"name": "deliver"}, "/payload", "missing")
        self.assert_refused({"name": "deliver", "payload": []}, "/payload", "type")
        self.assert_refused({"name": "misdeliver", "payload": {}}, "/payload", "unknown")

    def test_wrong_options_are_422(self):
        right = {"name": "deliver", "payload": {"recipient": "x"}}
        for options, pointer, code in (
                ({"delay": -1}, "/delay", "range"), ({"delay": 1e10}, "/delay", "range"),
                ({"delay": "1s"}, "/delay", "type"), ({"priority": 101}, "/priority", "range"),
                ({"key": ""}, "/key", "too_short"), ({"key": "x" * 201}, "/key", "too_long"),
                ({"key": "é" * 101}, "", "value"), ({"at": "tomorrow"}, "/at", "format"),
                ({"unique_until": "noon"}, "/unique_until", "value"), ({"throttle": 5}, "", "value"),
                ({"delay": 5, "at": "2999-01-01T00:00:00Z"}, "", "value"),
                ({"debounce": 5, "throttle": 5, "unique": "u"}, "", "value"),
                ({"debounce": 5, "delay": 5, "unique": "u"}, "", "value"),
                ({"at": "1969-01-01T00:00:00Z"}, "", "value"), ({"queue": "mail"}, "/queue", "unknown")):
            with self.subTest(options=options):
                self.assert_refused(right | options, pointer, code)
        self.assertEqual(self.list(queue="letters"), [])

    def test_an_unknown_name_is_404(self):
        self.assert_problem(self.post(JOBS, {"name": "nobody", "payload": {}}), 404, "unknown_job")

    def test_a_payload_that_is_too_large_is_refused(self):
        self.assertIn(self.post(JOBS, {"name": "deliver", "payload": {"recipient": "x", "pin": "x" * 2000000}}).status,
                      (413, 422))


class Retry(AdminTest):
    def test_a_dead_job_runs_again(self):
        job, = self.kill("again")
        response = self.post(f"{JOBS}/letters/{job}/retry")
        self.assertEqual((response.status, response.body), (204, b""))
        self.wait_until_delivered("again")
        self.assert_problem(self.post(f"{JOBS}/letters/{job}/retry"), 409, "not_dead")  # its result is left

    def test_only_dead_jobs_are(self):
        job = self.add("waiting", delay=1000)
        self.assert_problem(self.post(f"{JOBS}/letters/{job}/retry"), 409, "not_dead")
        self.assertEqual(self.show(job).json()["state"], "delayed")

    def test_many_by_what_they_have_in_common(self):
        self.kill("a", "b", "c")
        lost = self.add(None, name="misdeliver")
        self.wait_for_state(lost, "dead")
        for filter, count in (({"queue": "mail"}, 0), ({"code": "unheard"}, 0), ({"name": "send_mail"}, 0),
                              ({"name": "misdeliver", "code": "strike"}, 0)):
            self.assertEqual(self.post(f"{JOBS}/retry", filter).json(), {"count": count})
        self.assertEqual(self.queue()["dead"], 4)
        response = self.post(f"{JOBS}/retry", {"queue": "letters", "code": "strike"})
        self.assertEqual((response.status, response.json()), (200, {"count": 3}))
        for recipient in "abc":
            self.wait_until_delivered(recipient)
        self.assertEqual([job["id"] for job in self.list(queue="letters", state="dead")], [lost])
        self.assertEqual(self.post(f"{JOBS}/retry", {"name": "misdeliver"}).json(), {"count": 1})

    def test_a_filter_says_something(self):
        self.assert_problem(self.post(f"{JOBS}/retry", {}), 422, "empty_filter")
        self.assert_problem(self.post(f"{JOBS}/retry", {"status": "dead"}), 422, "invalid_body")
        self.assertEqual(self.post(f"{JOBS}/retry").status, 400)


class Durable(AdminTest):
    """Jobs that are rows of the outbox too."""

    def rows(self):
        return self.services.sql("SELECT id FROM prong_outbox")

    def test_one_is_enqueued_and_shown(self):
        job = self.add("kept", durable=True, delay=1000)
        self.assertEqual(self.rows(), [[job]])
        self.assertTrue(self.wait_for_state(job, "delayed")["durable"])
        self.assertFalse(self.show(self.add("not kept", delay=1000)).json()["durable"])
        self.assert_refused({"name": "deliver", "payload": {"recipient": "x"}, "durable": True, "unique": "u"},
                            "", "value")

    def test_one_that_is_cancelled_does_not_come_back(self):
        job = self.add("gone", durable=True, delay=1000)
        self.wait_for_state(job, "delayed")
        self.assertEqual(self.post(f"{JOBS}/letters/{job}/cancel").status, 204)
        self.assertEqual(self.rows(), [])
        self.assert_problem(self.show(job), 404, "job_not_found")

    def test_one_that_is_dead_runs_again(self):
        self.services.sql("INSERT INTO strikes VALUES ('raised')")
        job = self.add("raised", durable=True)
        self.wait_for_state(job, "dead")
        wait_for(lambda: self.services.sql("SELECT dead_at IS NOT NULL FROM prong_outbox") == [["t"]],
                 "the outbox knows it")
        self.services.sql("DELETE FROM strikes")
        self.assertEqual(self.post(f"{JOBS}/letters/{job}/retry").status, 204)
        self.wait_until_delivered("raised")
        wait_for(lambda: self.rows() == [], "its row is gone")


class Cancel(AdminTest):
    def test_a_waiting_job_is_gone(self):
        job = self.add("never", delay=1000)
        self.assertEqual(self.post(f"{JOBS}/letters/{job}/cancel").status, 204)
        self.assert_problem(self.show(job), 404, "job_not_found")
        self.assert_problem(self.post(f"{JOBS}/letters/{job}/cancel"), 404, "job_not_found")

    def test_a_dead_job_is_gone(self):
        job, = self.kill("buried")
        self.assertEqual(self.post(f"{JOBS}/letters/{job}/cancel").status, 204)
        self.assert_problem(self.show(job), 404, "job_not_found")

    def test_a_running_job_is_stopped(self):
        job = self.add("stopped", payload={"ms": 60000})
        self.wait_for_state(job, "running")
        self.assertEqual(self.post(f"{JOBS}/letters/{job}/cancel").status, 204)
        wait_for(lambda: self.show(job).status == 404, "the job has ended", seconds=20)
        self.assertEqual(self.deliveries("stopped"), 0)

    def test_what_is_done_stays_done(self):
        job = self.add("delivered")
        self.wait_for_state(job, "done")
        self.assert_problem(self.post(f"{JOBS}/letters/{job}/cancel"), 409, "finished")


class RedisAway(unittest.TestCase):
    def test_everything_is_503_until_it_is_back(self):
        services = Services()
        self.addCleanup(services.stop)
        app = make_app(services)
        self.addCleanup(app.stop)
        app.start()
        admin = sign_in(app, "admin@example.com", True)
        services.redis.kill()
        bodies = {JOBS: {"name": "deliver", "payload": {"recipient": "x"}}, f"{JOBS}/retry": {"queue": "letters"}}
        for method, path in ROUTES:
            response = app.request(method, path, bodies.get(path) if method == "POST" else None, token=admin)
            self.assertEqual(response.status, 503, (method, path, response))
            self.assertGreaterEqual(int(response.headers["retry-after"]), 1)
        services.start_redis()
        wait_for(lambda: app.get("/v1/admin/queues", token=admin).status == 200, "the queues are back")


if __name__ == "__main__":
    unittest.main()
