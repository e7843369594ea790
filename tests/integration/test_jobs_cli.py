"""The queues as people meet them on the command line: `prong jobs`, `prong queues`."""
import json
import subprocess
import signal
import unittest
from datetime import datetime, timedelta, timezone

from harness import App, Services, binary, wait_for

NO_WORKER = "the job waits: no worker takes jobs from the queue"
UNKNOWN_ID = "01907a10-6a5c-7d2e-8f3b-0123456789ab"


class JobsTest(unittest.TestCase):
    def run_command(self, *arguments, **settings):
        return self.app.command(*arguments, check=False, **settings)

    def jobs(self, *arguments):
        return self.run_command("jobs", *arguments)

    def assert_mistake(self, done, status, *texts):
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)


class WithoutServices(JobsTest):
    def setUp(self):
        self.app = App(binary("jobs_app"))
        self.addCleanup(self.app.stop)

    def test_help(self):
        for command in ("jobs", "queues"):
            done = self.run_command(command, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertIn("Examples:", done.stdout)

    def test_verbs(self):
        self.assert_mistake(self.jobs(), 64, "what is to be done is missing; there are add, ls, show, ")
        self.assert_mistake(self.jobs("stop"), 64, "there is no jobs stop; there are add")
        self.assert_mistake(self.jobs("--json", "ls"), 64, "unknown option '--json': say first what is to be done")
        self.assert_mistake(self.jobs("ls", "--yes"), 64, "unknown option '--yes'")

    def test_wrong_jobs_are_not_added(self):
        self.assert_mistake(self.jobs("add"), 64, "name the job")
        self.assert_mistake(self.jobs("add", "walk"), 64, "there is no job walk; there are", "work, nothing, kept")
        self.assert_mistake(self.jobs("add", "work"), 64, "the payload of work does not fit: Give the job's payload.")
        self.assert_mistake(self.jobs("add", "nothing", "{}"), 64, "the job takes no payload")
        self.assert_mistake(self.jobs("add", "work", "{"), 64, "the payload is no JSON: ", "line 1, column 2")
        self.assert_mistake(self.jobs("add", "work", "[]"), 64, "the payload of work does not fit: ")
        self.assert_mistake(self.jobs("add", "work", '{"text": "longer than 10", "other": 1}'), 64,
                            "/text: Give at most 10 characters.", "/other: Remove this; there is no such field.")
        self.assert_mistake(self.jobs("add", "work", "{}", "{}"), 64, "one argument too many")
        self.assert_mistake(self.jobs("add", "work", "{}", "--file", "x"), 64, "as an argument or as a file")
        self.assert_mistake(self.jobs("add", "work", "--file", "nowhere"), 1, "--file nowhere cannot be read: No such file")

    def test_wrong_options(self):
        for wrong, text in (
                (["--delay", "soon"], "--delay: 'soon' is not a duration"),
                (["--delay", "5"], "--delay: '5' is not a duration"),
                (["--delay", "4000d"], "a duration is negative or more than ten years"),
                (["--expires", "-1s"], "--expires: '-1s' is not a duration"),
                (["--at", "tomorrow"], "--at: 'tomorrow' is not a time as in"),
                (["--at", "2030-01-01T00:00:00Z", "--delay", "1s"], "there is a delay and a time"),
                (["--priority", "101"], "'101' is not a whole number from -100 to 100"),
                (["--priority", "-"], "'-' is not a whole number from -100 to 100"),
                (["--key", ""], "a key is not UTF-8 of 1 to 200 bytes"),
                (["--unique", "k" * 201], "a key is not UTF-8 of 1 to 200 bytes"),
                (["--until", "started"], "--until is for a job with --unique"),
                (["--unique", "k", "--until", "noon"], "--until is started or finished, not noon"),
                (["--throttle", "1s"], "throttle and debounce need a unique key"),
                (["--unique", "k", "--throttle", "1s", "--debounce", "1s"], "exclude each other"),
                (["--unique", "k", "--debounce", "1s", "--delay", "1s"], "debounce is itself a delay"),
                (["--unique", "k", "--durable"], "a durable job takes neither a unique key nor an expiry"),
                (["--expires", "1s", "--durable"], "a durable job takes neither a unique key nor an expiry"),
                (["--delay"], "--delay needs a value")):
            self.assert_mistake(self.jobs("add", "nothing", *wrong), 64, text)
        self.assert_mistake(self.jobs("add", "kept", "--unique", "k"), 64, "a durable job takes neither")

    def test_wrong_names(self):
        for verb in ("ls", "stats", "fsck", "retry"):
            self.assert_mistake(self.jobs(verb, "--queue", "nowhere"), 64,
                                "there is no queue nowhere; the queues are idle, mail, work")
        self.assert_mistake(self.jobs("show"), 64, "jobs show ID")
        self.assert_mistake(self.jobs("show", "17"), 64, "'17' is no id of a job")
        self.assert_mistake(self.jobs("show", UNKNOWN_ID, "--queue", "nowhere"), 64, "there is no queue nowhere")
        self.assert_mistake(self.jobs("ls", "--state", "lost"), 64, "--state is ready, delayed, running or dead")
        self.assert_mistake(self.jobs("ls", "--limit", "0"), 64, "is not a whole number from 1 to 100000")
        self.assert_mistake(self.jobs("ls", "--offset", "1"), 64, "--offset needs --queue and --state")
        for verb in ("retry", "cancel"):
            self.assert_mistake(self.jobs(verb, UNKNOWN_ID, "17"), 64, "'17' is no id of a job")
            self.assert_mistake(self.jobs(verb, UNKNOWN_ID, "--queue", "nowhere"), 64, "there is no queue nowhere")
            self.assert_mistake(self.jobs(verb, UNKNOWN_ID), 78, "REDIS_URL is not set", "DATABASE_URL is not set")
        self.assert_mistake(self.jobs("retry"), 64, "jobs retry ID…, or jobs retry --queue QUEUE")
        self.assert_mistake(self.jobs("retry", UNKNOWN_ID, "--name", "work"), 64, "not for ids")
        self.assert_mistake(self.jobs("retry", "--queue", "work", "--limit", "0"), 64, "'0' is not a whole number from 1")
        self.assert_mistake(self.jobs("cancel"), 64, "jobs cancel ID…")
        self.assert_mistake(self.jobs("drain"), 64, "jobs drain QUEUE --yes")
        self.assert_mistake(self.jobs("drain", "nowhere", "--yes"), 64, "there is no queue nowhere")
        self.assert_mistake(self.jobs("drain", "work", "--state", "running"), 64, "running jobs are not drained")
        self.assert_mistake(self.jobs("stats"), 78, "REDIS_URL is not set")

    def test_wrong_queues(self):
        self.assert_mistake(self.run_command("queues"), 64, "what is to be done is missing; there are ls, pause and resume")
        self.assert_mistake(self.run_command("queues", "stop"), 64, "there is no queues stop")
        for verb in ("pause", "resume"):
            self.assert_mistake(self.run_command("queues", verb), 64, f"queues {verb} QUEUE")
            self.assert_mistake(self.run_command("queues", verb, "nowhere"), 64, "there is no queue nowhere")
            self.assert_mistake(self.run_command("queues", verb, "idle"), 78, "REDIS_URL is not set")

    def test_redis_is_away(self):
        self.app.environment["REDIS_URL"] = f"unix://{self.app.folder}/nothing.sock"
        self.app.environment["DATABASE_URL"] = f"postgresql:///none?host={self.app.folder}"
        for arguments in (["jobs", "add", "nothing"], ["jobs", "ls"], ["jobs", "show", UNKNOWN_ID], ["jobs", "stats"],
                          ["jobs", "fsck"], ["jobs", "retry", UNKNOWN_ID], ["jobs", "retry", "--queue", "work"],
                          ["jobs", "cancel", UNKNOWN_ID], ["jobs", "drain", "work"], ["jobs", "drain", "work", "--yes"],
                          ["queues", "ls"], ["queues", "pause", "work"], ["queues", "resume", "work"]):
            self.assert_mistake(self.run_command(*arguments), 69, "Redis of REDIS_URL cannot be reached: ")


class WithServices(JobsTest):
    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)
        app = App(binary("jobs_app"), cls.services)
        cls.addClassCleanup(app.stop)
        app.command("migrate", "up")

    def setUp(self):
        self.redis("FLUSHALL")
        self.services.sql("TRUNCATE prong_outbox")
        self.app = App(binary("jobs_app"), self.services, WEB_CONCURRENCY=1, JOB_PROCESSES=1)
        self.addCleanup(self.app.stop)

    def redis(self, *arguments):
        done = subprocess.run(["redis-cli", "-s", f"{self.services.folder}/redis.sock", *arguments], text=True,
                              capture_output=True, timeout=30, check=True)
        return done.stdout.strip()

    def read(self, *arguments):
        return json.loads(self.app.command("jobs", *arguments, "--json").stdout)

    def add(self, *arguments):
        return self.app.command("jobs", "add", *arguments).stdout.strip()

    def stats(self, queue):
        return self.read("stats", "--queue", queue)[0]

    # ---- add ----

    def test_add(self):
        done = self.jobs("add", "work", '{"text": "one"}')
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"{NO_WORKER} work now", done.stderr)
        job = self.read("show", done.stdout.strip())
        self.assertEqual((job["state"], job["payload"], job["attempt"], job["max_attempts"]),
                         ("ready", {"text": "one"}, 0, 20))

    def test_add_with_options(self):
        at = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.assertEqual(self.read("show", self.add("nothing", "--at", at))["at"], at)
        job = self.read("show", self.add("nothing", "--delay", "1h", "--priority", "-5", "--key", "tenant",
                                         "--expires", "2h"))
        due = datetime.fromisoformat(job["at"].replace("Z", "+00:00")) - datetime.now(timezone.utc)
        self.assertLess(abs(due - timedelta(hours=1)), timedelta(minutes=1))
        self.assertEqual((job["state"], job["key"], job["header"]["priority"], job["header"]["expires"]),
                         ("delayed", "tenant", -5, 7200000000))

    def test_add_from_a_file(self):
        path = self.app.folder / "payload.json"
        path.write_text('{\n  "text": "file"\n}\n')
        self.assertEqual(self.read("show", self.add("work", "--file", str(path)))["payload"], {"text": "file"})
        done = subprocess.run([self.app.program, "jobs", "add", "work", "--file=-"], input='{"text": "stdin"}', text=True,
                              env=self.app.environment, cwd=self.app.folder, capture_output=True, timeout=30)
        self.assertEqual(self.read("show", done.stdout.strip())["payload"], {"text": "stdin"})

    def test_an_existing_job_stands_for_it(self):
        first = self.read("add", "work", '{"text": "one"}', "--unique", "key")
        self.assertEqual((first["queue"], first["existing"]), ("work", False))
        done = self.jobs("add", "work", '{"text": "two"}', "--unique", "key")
        self.assertEqual((done.returncode, done.stdout.strip()), (0, first["id"]))
        self.assertIn(f"the job {first['id']} has the unique key already: it stands for this one\n", done.stderr)
        self.assertEqual(self.read("show", first["id"])["payload"], {"text": "one"})
        debounced = [self.add("work", json.dumps({"text": text}), "--unique", "other", "--debounce", "1h")
                     for text in ("one", "two")]
        self.assertEqual(debounced[0], debounced[1])
        self.assertEqual(self.read("show", debounced[0])["payload"], {"text": "two"})

    def test_add_what_is_too_much(self):
        for _ in range(200):
            done = self.jobs("add", "work", json.dumps({"text": "a", "fail": "x" * 1000}))
            if done.returncode:
                break
        self.assert_mistake(done, 1, "The queue work holds as much as it may")
        self.assert_mistake(self.run_command("jobs", "add", "work", json.dumps({"text": "a", "fail": "x" * 5000}),
                                             MAX_PAYLOAD="4096"), 1, "The payload of the job work has")

    def test_add_durable(self):
        ids = [self.add("kept"), self.add("nothing", "--durable")]
        rows = self.services.sql("SELECT id, queue FROM prong_outbox ORDER BY id")
        self.assertEqual(sorted(rows), sorted([[ids[0], "work"], [ids[1], "idle"]]))
        self.assertEqual(self.read("ls"), [])

    # ---- look ----

    def test_ls(self):
        ids = [self.add("work", json.dumps({"text": str(i)}), "--key", "k") for i in range(3)]
        ids.append(self.add("nothing"))
        rows = self.read("ls")
        self.assertEqual({row["id"] for row in rows}, set(ids))
        self.assertEqual({(row["queue"], row["name"], row["key"]) for row in rows},
                         {("work", "work", "k"), ("idle", "nothing", None)})
        self.assertEqual([row["id"] for row in self.read("ls", "--name", "nothing")], [ids[3]])
        self.assertEqual(len(self.read("ls", "--queue", "work", "--limit", "2")), 2)
        pages = [self.read("ls", "--queue", "work", "--state", "ready", "--limit", "1", "--offset", str(i), *more)
                 for i in range(4) for more in ([], ["--name", "work"])]
        self.assertEqual([len(page) for page in pages], [1, 1, 1, 1, 1, 1, 0, 0])
        self.assertEqual({page[0]["id"] for page in pages if page}, set(ids[:3]))
        self.assertEqual(self.read("ls", "--state", "dead"), [])
        self.assertIn("No jobs.", self.jobs("ls", "--queue", "mail").stdout)

    def test_show_keeps_secrets(self):
        id = self.add("work", '{"text": "a", "password": "opensesame"}')
        self.assertEqual(self.read("show", id)["payload"], {"text": "a", "password": "(secret)"})
        done = self.jobs("show", id)
        self.assertNotIn("opensesame", done.stdout)
        lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        self.assertEqual((lines["id"], lines["queue"], lines["state"], lines["durable"]), (id, "work", "ready", "false"))
        self.assertEqual(self.jobs("show", id, "--queue", "work").stdout, done.stdout)

    def test_nothing_moves_the_terminal(self):
        key = "a\x1b[2J\x9b2J\u202eb"
        id = self.add("work", json.dumps({"text": "\x9b2J"}), "--key", key)
        self.assertEqual(self.read("show", id)["key"], key)
        for arguments in (("ls",), ("show", id)):
            shown = self.jobs(*arguments).stdout
            self.assertTrue(all(c == "\n" or c.isprintable() for c in shown), repr(shown))
            self.assertIn("a [2J 2J b", shown)

    def test_show_what_is_not_there(self):
        self.assert_mistake(self.jobs("show", UNKNOWN_ID), 1, f"there is no job {UNKNOWN_ID}: it is done, or was")
        id = self.add("nothing")
        self.assert_mistake(self.jobs("show", id, "--queue", "work"), 1, f"there is no job {id} in the queue work")
        self.assertEqual(self.read("show", id.upper(), "--queue", "idle")["id"], id)

    def test_says_which_server_is_silent(self):
        self.services.postgres.signal(signal.SIGSTOP)
        try:
            done = self.jobs("add", "kept")
        finally:
            self.services.postgres.signal(signal.SIGCONT)
        self.assert_mistake(done, 69, "DATABASE_URL: PostgreSQL cannot be reached: no answer")

    def test_stats(self):
        self.add("work", '{"text": "a"}', "--key", "k")
        self.add("work", '{"text": "a"}', "--delay", "1h")
        self.assertEqual([row["queue"] for row in self.read("stats")], ["idle", "mail", "work"])
        stats = self.stats("work")
        self.assertEqual([stats[name] for name in ("ready", "delayed", "running", "dead", "keys", "consumers", "results",
                                                   "paused")], [1, 1, 0, 0, 1, 0, 0, False])
        self.assertGreater(stats["oldest_seconds"], 0)
        self.assertGreater(stats["memory"], stats["bytes"])
        self.assertEqual(stats["memory_per_job"], stats["memory"] // 2)
        self.assertEqual(self.stats("mail")["oldest_seconds"], None)

    # ---- fsck ----

    def test_fsck(self):
        id, other = self.add("nothing"), self.add("nothing")
        self.assertEqual(self.jobs("fsck").stdout, "Nothing is wrong.\n")
        self.assertEqual(self.read("fsck"), [])
        self.redis("LREM", "prong:{idle#0}:ready", "1", id)
        self.redis("HDEL", "prong:{idle#0}:body", other)
        self.redis("ZADD", "prong:{idle#0}:delayed", "1", UNKNOWN_ID)
        done = self.jobs("fsck", "--json")
        self.assertEqual(done.returncode, 1)
        findings = [row["finding"] for row in json.loads(done.stdout) if row["queue"] == "idle"]
        self.assertIn(f"idle shard 0: {id} has a body, but is nowhere", findings)
        self.assertIn(f"idle shard 0: {UNKNOWN_ID} is in delayed, but has no body", findings)
        self.assertIn("findings; --repair mends them", done.stderr)
        self.assertEqual(self.jobs("fsck", "--queue", "work").returncode, 0)
        self.assertEqual(self.jobs("fsck", "--repair").returncode, 1)
        self.assertEqual(self.jobs("fsck").returncode, 0)
        self.assertEqual(self.read("show", id)["state"], "ready")
        self.assert_mistake(self.jobs("show", other), 1, "there is no job")

    def test_fsck_of_a_large_queue(self):
        id = self.add("nothing")
        self.redis("EVAL", "for i = 1, 100000 do redis.call('RPUSH', KEYS[1], ARGV[1]) end", "1", "prong:{idle#0}:ready", id)
        self.assert_mistake(self.jobs("fsck"), 1, "the queue idle has 100001 jobs", "give --force if it may")
        self.assertEqual(self.jobs("fsck", "--queue", "work").returncode, 0)
        self.assertEqual(self.jobs("fsck", "--force").returncode, 1)

    # ---- act ----

    def wait_for_state(self, id, state):
        return wait_for(lambda: (found := self.read("show", id))["state"] == state and found, f"{id} is {state}")

    def bury(self, count, **payload):
        """Jobs that a worker has buried."""
        before = self.stats("work")["dead"]
        ids = [self.add("work", json.dumps({"text": "dead"} | payload)) for _ in range(count)]
        wait_for(lambda: self.stats("work")["dead"] == before + count, "the jobs are dead")
        return ids

    def test_a_job_runs_and_its_result_is_shown(self):
        self.app.start()
        done = self.jobs("add", "work", '{"text": "done"}')
        self.assertEqual(done.stderr, "")  # somebody consumes the queue
        shown = self.wait_for_state(done.stdout.strip(), "done")
        self.assertEqual((shown["queue"], shown["result"]), ("work", {"text": "done", "token": "(secret)"}))
        self.assertEqual(self.stats("work")["results"], 1)
        self.assertGreater(self.stats("work")["consumers"], 0)
        self.assert_mistake(self.jobs("cancel", done.stdout.strip()), 1, "there is no job")
        self.assert_mistake(self.jobs("retry", done.stdout.strip()), 1, "is not dead")

    def test_cancel_what_runs(self):
        self.app.start()
        id = self.add("work", '{"text": "long", "forever": true}')
        shown = self.wait_for_state(id, "running")
        self.assertEqual((shown["attempt"], shown["owner"] is not None), (1, True))
        wait_for(lambda: self.read("show", id)["report"] == {"done": 1, "total": 3, "log": ["a line of long"]}, "its report")
        text = self.jobs("show", id).stdout
        self.assertIn("progress      1 of 3\nlog           a line of long\n", text)
        self.assertEqual(self.read("ls", "--state", "running")[0]["id"], id)
        self.assertEqual(self.read("cancel", id), [{"id": id, "queue": "work", "was": "running"}])
        wait_for(lambda: self.jobs("show", id).returncode == 1, "the job is gone")
        self.assertEqual(self.jobs("fsck").returncode, 0)

    def test_cancel_what_waits(self):
        ids = [self.add("nothing"), self.add("work", '{"text": "a"}', "--delay", "1h")]
        done = self.jobs("cancel", ids[0], UNKNOWN_ID, ids[1], "--json")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"there is no job {UNKNOWN_ID}", done.stderr)
        self.assertEqual(json.loads(done.stdout), [{"id": ids[0], "queue": "idle", "was": "ready"},
                                                   {"id": ids[1], "queue": "work", "was": "delayed"}])
        self.assertEqual(self.read("ls"), [])
        id = self.add("nothing")
        self.assert_mistake(self.jobs("cancel", id, "--queue", "work"), 1, f"there is no job {id} in the queue work")
        self.assertEqual(self.read("show", id)["state"], "ready")

    def test_retry(self):
        self.app.start()
        ids = self.bury(3, fail="smtp_down") + self.bury(1, fail="wrong_address")
        shown = self.read("show", ids[0])
        self.assertEqual((shown["state"], shown["attempt"], shown["error"]["code"]), ("dead", 1, "smtp_down"))
        self.app.command("queues", "pause", "work")
        self.assertEqual(self.read("retry", ids[0]), [{"id": ids[0], "queue": "work", "was": "dead"}])
        shown = self.read("show", ids[0])
        self.assertEqual((shown["state"], shown["attempt"], shown["error"]), ("ready", 0, None))
        self.assert_mistake(self.jobs("retry", ids[0]), 1, f"the job {ids[0]} is not dead")
        self.assert_mistake(self.jobs("retry", UNKNOWN_ID), 1, "there is no job")
        for arguments, count in ((["--name", "nothing"], 0), (["--error", "nothing"], 0), (["--error", "smtp_down"], 2),
                                 (["--name", "work", "--limit", "5"], 1), ([], 0)):
            self.assertEqual(self.read("retry", "--queue", "work", *arguments), {"retried": count}, arguments)
        self.assertEqual([self.stats("work")[name] for name in ("ready", "dead")], [4, 0])
        self.app.command("queues", "resume", "work")
        wait_for(lambda: self.stats("work")["dead"] == 4, "they die again")
        self.assertEqual(self.jobs("retry", "--queue", "work", "--limit", "1").stdout, "1 dead jobs are ready again\n")

    def test_pause_and_resume(self):
        self.app.start()
        self.assertEqual(self.run_command("queues", "pause", "work").stdout, "work is paused\n")
        self.assertEqual(self.run_command("queues", "pause", "work").stdout, "work was paused already\n")
        done = self.jobs("add", "work", '{"text": "later"}')
        self.assertIn("the job waits: the queue work is paused; `jobs_app queues resume work`", done.stderr)
        # Others run, and it does not.
        self.add("nothing")
        wait_for(lambda: self.stats("idle")["ready"] == 0, "the other queue's job is taken")
        self.assertEqual((self.stats("work")["ready"], self.stats("work")["paused"]), (1, True))
        self.assertEqual(json.loads(self.run_command("queues", "resume", "work", "--json").stdout),
                         {"queue": "work", "paused": False})
        self.wait_for_state(done.stdout.strip(), "done")
        self.assertEqual(self.run_command("queues", "resume", "work").stdout, "work was not paused\n")

    def test_queues_ls(self):
        self.add("work", '{"text": "a"}')
        queues = {row["queue"]: row for row in json.loads(self.app.command("queues", "ls", "--json").stdout)}
        self.assertEqual(list(queues), ["idle", "mail", "work"])
        self.assertEqual(queues["work"], {
            "queue": "work", "ready": 1, "delayed": 0, "running": 0, "dead": 0, "paused": False, "consumers": 0, "rank": 1,
            "weight": 2, "concurrency": 10, "rate": "1000/1s", "key_concurrency": 3, "key_rate": "500/1s500ms", "shards": 2,
            "max_bytes": 10000})
        self.assertEqual((queues["idle"]["concurrency"], queues["idle"]["rate"], queues["idle"]["weight"]), (None, None, 1))

    def test_drain(self):
        for _ in range(3):
            self.add("work", '{"text": "a"}', "--key", "k")
        self.add("work", '{"text": "a"}', "--delay", "1h")
        other = self.add("nothing")
        done = self.jobs("drain", "work")
        self.assert_mistake(done, 64, "ready 3, delayed 1, dead 0; give --yes to do it")
        self.assertEqual(self.stats("work")["ready"], 3)
        self.assertEqual(self.read("drain", "work", "--state", "delayed", "--yes"), {"delayed": 1})
        self.assertEqual(self.jobs("drain", "work", "--yes").stdout, "Removed: ready 3, delayed 0, dead 0\n")
        self.assertEqual([row["id"] for row in self.read("ls")], [other])
        self.assertEqual((self.stats("work")["bytes"], self.stats("work")["keys"]), (0, 0))
        self.assertEqual(self.jobs("fsck").returncode, 0)

    # ---- durable jobs ----

    def rows(self):
        return int(self.services.sql("SELECT count(*) FROM prong_outbox")[0][0])

    def test_durable_jobs_are_removed_everywhere(self):
        self.app.command("queues", "pause", "work")
        self.app.command("queues", "pause", "idle")
        waiting = self.add("kept")  # nothing runs yet that would put it into Redis
        self.assertEqual(self.read("cancel", waiting), [{"id": waiting, "queue": None, "was": None}])
        self.assertEqual(self.rows(), 0)
        self.app.start()
        ids = [self.add("kept") for _ in range(3)] + [self.add("nothing", "--durable")]
        for id in ids:
            wait_for(lambda: self.jobs("show", id).returncode == 0, "the job is in Redis")
        self.assertTrue(self.read("show", ids[0])["durable"])
        self.assertEqual(self.read("cancel", ids[0])[0]["was"], "ready")
        self.assertEqual(self.rows(), 3)
        self.assertEqual(self.read("drain", "work", "--yes"), {"ready": 2, "delayed": 0, "dead": 0})
        self.assertEqual(self.services.sql("SELECT id FROM prong_outbox"), [[ids[3]]])

    def test_a_dead_durable_job_is_retried(self):
        self.app.start()
        id = self.add("work", '{"text": "a", "fail": "x"}', "--durable")
        wait_for(lambda: self.services.sql("SELECT id FROM prong_outbox WHERE dead_at IS NOT NULL"), "it is dead")
        self.wait_for_state(id, "dead")
        self.app.command("queues", "pause", "work")
        self.assertEqual(self.read("retry", "--queue", "work"), {"retried": 1})
        self.assertEqual(self.services.sql("SELECT id FROM prong_outbox WHERE dead_at IS NULL"), [[id]])
        # One that Redis has lost is put there again.
        self.services.sql("UPDATE prong_outbox SET dead_at = now()")
        self.redis("FLUSHALL")
        self.assertEqual(self.read("retry", id), [{"id": id, "queue": None, "was": None}])
        wait_for(lambda: self.services.sql("SELECT id FROM prong_outbox WHERE dead_at IS NOT NULL"), "it is dead again")


if __name__ == "__main__":
    unittest.main()
