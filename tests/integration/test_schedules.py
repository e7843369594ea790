"""Schedules as people meet them: `prong schedules`, and jobs that run when they tick."""
import json
import os
import signal
import unittest
from datetime import datetime, timedelta

from harness import App, Services, binary, wait_for

NAMES = ["every_second", "yearly", "fortnightly"]


class ScheduleTest(unittest.TestCase):
    def run_command(self, *arguments, **settings):
        return self.app.command("schedules", *arguments, check=False, **settings)

    def read(self, *arguments):
        return json.loads(self.app.command("schedules", *arguments, "--json").stdout)

    def assert_mistake(self, done, status, *texts):
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)


class WithoutServices(ScheduleTest):
    def setUp(self):
        self.app = App(binary("schedules_app"))
        self.addCleanup(self.app.stop)

    def test_check_prints_the_next_runs_of_a_line(self):
        runs = self.read("check", "30 2 * * *", "--zone", "America/New_York", "--count", "400")
        self.assertEqual(len(runs), 400)
        times = [datetime.fromisoformat(run["local"]) for run in runs]
        self.assertEqual([datetime.fromisoformat(run["utc"].replace("Z", "+00:00")) for run in runs], times)
        for earlier, later in zip(times, times[1:]):
            self.assertEqual(later.date() - earlier.date(), timedelta(days=1))
        # The day that has no half past two.
        self.assertEqual({(time.hour, time.minute) for time in times}, {(2, 30), (3, 0)})
        self.assertEqual({time.utcoffset() for time in times}, {timedelta(hours=-5), timedelta(hours=-4)})
        self.assertEqual(len(self.run_command("check", "@hourly").stdout.splitlines()), 6)

    def test_check_says_what_is_wrong(self):
        self.assert_mistake(self.run_command("check", "0 25 * * *", "--zone", "Europe/Bonn"), 1,
                            'schedules_app: "0 25 * * *": the hour "25" is not a number from 0 to 23',
                            '--zone "Europe/Bonn": there is no such time zone; write UTC or a name such as Europe/Berlin')
        self.assert_mistake(self.run_command("check", "0 0 30 2 *"), 1, "it never happens")

    def test_next_needs_no_services(self):
        runs = self.read("next", "yearly", "--count", "12")
        self.assertEqual(len(runs), 12)
        for run in runs:
            local = datetime.fromisoformat(run["local"])
            self.assertEqual((local.weekday(), run["zone"]), (6, "Europe/Berlin"))
            self.assertIn(local.month, (3, 10))
        for run in self.read("next", "fortnightly"):
            since = datetime.fromisoformat(run["utc"].replace("Z", "+00:00")).timestamp()
            self.assertEqual((since % (14 * 86400), run["local"], run["zone"]), (0, None, None))

    def test_wrong_usage(self):
        for verb in ("next", "pause", "resume", "run"):
            self.assert_mistake(self.run_command(verb, "daily"), 64,
                                "there is no schedule daily; there are every_second, yearly, fortnightly")
            self.assert_mistake(self.run_command(verb), 64, f"{verb} NAME")
        self.assert_mistake(self.run_command(), 64, "say what to do: ls, next, pause, resume, run or check")
        self.assert_mistake(self.run_command("stop"), 64, '"stop" is none of')
        self.assert_mistake(self.run_command("check"), 64, "check 'CRON LINE'")
        self.assert_mistake(self.run_command("ls", "yearly"), 64, 'what is "yearly"?')
        self.assert_mistake(self.run_command("ls", "--zone", "UTC"), 64, "--zone is for `check`")
        self.assert_mistake(self.run_command("ls", "--count", "2"), 64, "--count is for `next` and `check`")
        self.assert_mistake(self.run_command("pause", "yearly", "--json"), 64, "--json is for")
        self.assert_mistake(self.run_command("next", "yearly", "--count", "0"), 64, "whole number from 1 to")
        self.assert_mistake(self.run_command("pause", "yearly"), 78, "DATABASE_URL is not set")

    def test_every_wrong_schedule_is_reported_at_start(self):
        done = self.app.command("serve", check=False, WRONG_SCHEDULES=1)
        self.assert_mistake(
            done, 78,
            'schedule wrong_line: its line "0 25 * * *": the hour "25" is not a number from 0 to 23',
            'schedule wrong_line: its zone "Europe/Bonn": there is no such time zone',
            "schedule wrong_payload: give it either a .cron line or an interval, .every",
            "schedule wrong_payload: its payload does not fit: /text: Give at most 10 characters.",
            "schedule wrong_job: its job unlisted is unknown: add it to .jobs",
            "schedule wrong_job: there are two of that name")

    def test_an_application_without_any(self):
        app = App(binary("drill_app"))
        self.addCleanup(app.stop)
        done = app.command("schedules", "next", "daily", check=False)
        self.assert_mistake(done, 64, "this application has no schedules")


class WithServices(ScheduleTest):
    @classmethod
    def setUpClass(cls):
        cls.services = Services()
        cls.addClassCleanup(cls.services.stop)

    def setUp(self):
        self.services.sql("DROP SCHEMA public CASCADE")
        self.services.sql("CREATE SCHEMA public")
        self.app = App(binary("schedules_app"), self.services, WEB_CONCURRENCY=1, JOB_PROCESSES=1)
        self.addCleanup(self.app.stop)

    def migrate(self):
        self.app.command("migrate", "up")
        self.services.sql("CREATE TABLE ticks (job uuid, text text, tick timestamptz)")

    def number(self, statement):
        return int(self.services.sql(statement)[0][0])

    def ticks(self):
        return self.number("SELECT count(DISTINCT job) FROM ticks WHERE text = 'second'")

    def scheduler(self):
        return next((pid for title, pid in self.app.children().items() if "scheduler" in title), None)

    def row(self, name):
        return next(row for row in self.read("ls") if row["name"] == name)

    def test_before_the_migrations(self):
        self.assert_mistake(self.run_command("ls"), 1, "has `schedules_app migrate up` been run")

    def test_ls(self):
        self.migrate()
        rows = self.read("ls")
        self.assertEqual([row["name"] for row in rows], NAMES)
        self.assertEqual([row["when"] for row in rows], ["* * * * * *", "30 2 * mar,oct sun", "every 14d"])
        self.assertEqual([row["zone"] for row in rows], ["UTC", "Europe/Berlin", None])
        self.assertEqual([row["misfire"] for row in rows], ["backfill 100", "skip", "once"])
        for row in rows:
            self.assertEqual((row["job"], row["paused"], row["last_run"], row["last_job"]), ("note_tick", False, None, None))
        self.assertEqual(rows[1]["next"], self.read("next", "yearly")[0]["utc"])

    def test_ticks_run_once_though_the_scheduler_is_killed(self):
        self.migrate()
        self.app.start()
        wait_for(lambda: self.ticks() >= 3, "the schedule ticks")
        for _ in range(3):
            os.kill(wait_for(self.scheduler, "a scheduler"), signal.SIGKILL)
            before = self.ticks()
            wait_for(lambda: self.ticks() >= before + 2, "the schedule ticks again")
        wait_for(lambda: self.number("SELECT (count(DISTINCT tick) - extract(epoch FROM max(tick) - min(tick)))::int "
                                     "FROM ticks") == 1, "all ticks between the first and the last have run")
        self.assertEqual(self.number("SELECT count(DISTINCT job) - count(DISTINCT tick) FROM ticks"), 0)

    def test_pause_resume_run(self):
        self.migrate()
        self.assertEqual(self.run_command("pause", "every_second").stdout, "every_second is paused\n")
        self.assertEqual(self.run_command("pause", "every_second").stdout, "every_second was paused already\n")
        self.assertEqual((self.row("every_second")["paused"], self.row("every_second")["next"]), (True, None))
        self.app.start()
        identity = self.run_command("run", "every_second").stdout.strip()
        self.assertRegex(identity, r"^[0-9a-f-]{36}$")
        wait_for(lambda: self.ticks() == 1, "the job has run")
        self.assertEqual(self.number("SELECT count(DISTINCT job) FROM ticks WHERE tick IS NULL"), 1)
        self.assertEqual(self.run_command("resume", "every_second").stdout, "every_second goes on\n")
        wait_for(lambda: self.ticks() >= 3, "the schedule ticks")
        self.assertEqual(self.run_command("resume", "every_second").stdout, "every_second was not paused\n")
        row = self.row("every_second")
        self.assertFalse(row["paused"])
        self.assertIsNotNone(row["last_run"])
        self.assertIsNotNone(row["last_job"])


if __name__ == "__main__":
    unittest.main()
