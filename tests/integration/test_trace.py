"""One trace from the client's request to its log line, its job, and the job's log lines."""
import json
import unittest

from harness import App, Services, binary, wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class Trace(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        cls.app = App(binary("test_app"), cls.services, WEB_CONCURRENCY=1, JOB_PROCESSES=1)
        cls.addClassCleanup(cls.app.stop)
        cls.app.command("migrate", "up")
        cls.services.sql("CREATE TABLE strikes (recipient text); CREATE TABLE deliveries (recipient text, trace_id text)")
        cls.app.start()

    def lines(self, name, value):
        found = []
        for line in list(self.app.process.lines):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if record.get(name) == value:
                found.append(record)
        return found

    def test_a_job_belongs_to_its_requests_trace(self):
        response = self.app.post("/v1/letters", {"recipient": "traced"}, headers={"traceparent": PARENT})
        self.assertEqual(response.status, 202, response)
        request = response.headers["x-request-id"]
        self.assertNotEqual(request, TRACE)
        wait_for(lambda: self.services.sql("SELECT trace_id FROM deliveries") == [[TRACE]], "the job knows its trace")
        lines = wait_for(lambda: len(found := self.lines("trace.id", TRACE)) >= 3 and found,
                         "request, job and end are logged")
        self.assertEqual({line["http.request.id"] for line in lines}, {request})
        self.assertEqual({line["process.name"].split()[0] for line in lines}, {"http", "worker"})
        messages = [line["message"] for line in lines]
        self.assertIn("POST /v1/letters 202", messages)
        of_job = [line for line in lines if line["process.name"].startswith("worker")]
        self.assertIn("on the way to traced", [line["message"] for line in of_job])
        self.assertEqual({(line["job.name"], line["job.id"]) for line in of_job},
                         {("deliver", of_job[0]["job.id"])})
        self.assertTrue(any(message.startswith("job deliver done") for message in messages), messages)

    def test_a_request_without_one_begins_its_own(self):
        for parent in (None, "00-" + "0" * 32 + "-00f067aa0ba902b7-01", PARENT.upper(), PARENT + "-x"):
            response = self.app.get("/v1/ping", headers={"traceparent": parent} if parent else {})
            request = response.headers["x-request-id"]
            line, = wait_for(lambda: self.lines("http.request.id", request), "the request is logged")
            self.assertEqual(line["trace.id"], request)


if __name__ == "__main__":
    unittest.main()
