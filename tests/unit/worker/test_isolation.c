#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/worker/isolation_world.h"

/* ---- returning ---- */

TEST(isolation, runs_a_job_in_a_process_of_its_own)
{
	struct world world;
	struct attempt attempt = { 0 };

	world_open(&world, 1);
	attempt_run(&attempt, &world, "look_around");
	CU_ASSERT_EQUAL(attempt.result, 5);
	CU_ASSERT_EQUAL(attempt.end, ISOLATION_RETURNED);
	CU_ASSERT(attempt.started_at > 0 && attempt.started_at < monotonic_us());
	CU_ASSERT(seen->fine);
	CU_ASSERT(seen->child != getpid() && seen->nursery != getpid());
	CU_ASSERT(is_gone(seen->child));
	CU_ASSERT_EQUAL(attempt.ctx.problem.status, 0);
	context_end(&attempt.ctx);
	world_close(&world);
}

TEST(isolation, says_why_a_job_failed)
{
	struct world world;
	struct attempt with_problem = { 0 }, plain = { 0 };

	world_open(&world, 1);
	attempt_run(&with_problem, &world, "fail_with_problem");
	CU_ASSERT_EQUAL(with_problem.end, ISOLATION_RETURNED);
	CU_ASSERT_EQUAL(with_problem.result, -EHOSTDOWN);
	CU_ASSERT_EQUAL(with_problem.ctx.problem.status, 503);
	CU_ASSERT_STRING_EQUAL(with_problem.ctx.problem.code, "no_luck");
	CU_ASSERT_STRING_EQUAL(with_problem.ctx.problem.detail, "Attempt 3: \"no luck\".");
	attempt_run(&plain, &world, "fail_plainly");
	CU_ASSERT_EQUAL(plain.result, -EROFS);
	CU_ASSERT_EQUAL(plain.ctx.problem.status, 0);
	context_end(&with_problem.ctx);
	context_end(&plain.ctx);
	world_close(&world);
}

TEST(isolation, tells_what_a_job_says)
{
	struct attempt attempt = { 0 };
	struct buffer notes = { 0 };
	struct world world;

	world_open(&world, 1);
	attempt_run(&attempt, &world, "say_much");
	CU_ASSERT_EQUAL(attempt.result, 0);
	CU_ASSERT(attempt.notes.changed);
	CU_ASSERT(attempt.notes.done == JOB_LOG_LINES + 5 && attempt.notes.total == JOB_LOG_LINES + 5);
	CU_ASSERT_STRING_EQUAL(buffer_text(&attempt.notes.result), "{\"number\":12,\"text\":\"twelve\"}");
	job_notes_write(&attempt.notes, &notes);
	CU_ASSERT(strstr(buffer_text(&notes), "\"log\":[\"line 6\",\"line 7\",") != NULL);
	CU_ASSERT(strstr(buffer_text(&notes), "\"line 25\"]}") != NULL);
	buffer_free(&notes);
	job_notes_free(&attempt.notes);
	context_end(&attempt.ctx);
	world_close(&world);
}

static void tick(void *argument)
{
	loop_stop(argument);
}

TEST(isolation, tells_it_while_the_job_runs)
{
	struct attempt attempt = { 0 };
	struct world world;

	world_open(&world, 1);
	attempt_start(&attempt, &world, "say_one_thing_and_hang", 0);
	CU_ASSERT(EVENTUALLY(({
		loop_post(world.runtime->loop, tick, world.runtime->loop);
		loop_run(world.runtime->loop);
		attempt.notes.done == 1 && attempt.notes.total == 2;
	})));
	CU_ASSERT(!attempt.concluded);
	seen->may_end = true;
	attempt_finish(&attempt);
	world_close(&world);
}

TEST(isolation, tells_what_is_to_become_of_a_failed_job)
{
	struct attempt postponed = { 0 }, final = { 0 };
	struct world world;

	world_open(&world, 1);
	attempt_run(&postponed, &world, "postpone");
	CU_ASSERT(postponed.result < 0 && postponed.notes.postponed && !postponed.notes.final);
	CU_ASSERT_EQUAL(postponed.notes.retry_after, PRONG_HOURS(1));
	CU_ASSERT_STRING_EQUAL(postponed.ctx.problem.code, "later");
	context_end(&postponed.ctx);
	attempt_run(&final, &world, "give_up");
	CU_ASSERT(final.result < 0 && final.notes.final && !final.notes.postponed);
	CU_ASSERT_STRING_EQUAL(final.ctx.problem.detail, "Not ever.");
	context_end(&final.ctx);
	world_close(&world);
}

TEST(isolation, takes_a_payload_of_a_megabyte)
{
	struct attempt attempt = { 0 };
	struct buffer payload = { 0 };
	struct world world;

	world_open(&world, 1);
	buffer_add_literal(&payload, "{\"number\":1,\"text\":\"");
	buffer_reserve(&payload, LARGE + 2);
	memset(payload.data + payload.size, 'x', LARGE);
	payload.size += LARGE;
	buffer_add_literal(&payload, "\"}");
	attempt.delivery.payload = buffer_text(&payload);
	attempt.delivery.payload_size = payload.size;
	attempt_run(&attempt, &world, "measure_text");
	CU_ASSERT_EQUAL(attempt.result, 0);
	CU_ASSERT(seen->fine);
	context_end(&attempt.ctx);
	buffer_free(&payload);
	world_close(&world);
}

TEST(isolation, has_threads)
{
	struct world world;
	struct attempt attempt = { 0 };

	world_open(&world, 1);
	attempt_run(&attempt, &world, "use_a_thread");
	CU_ASSERT_EQUAL(attempt.result, 0);
	CU_ASSERT(seen->fine);
	context_end(&attempt.ctx);
	world_close(&world);
}

TEST(isolation, a_hundred_jobs_share_four_places)
{
	struct attempt *attempts = allocate_array(MANY, sizeof(*attempts));
	struct world world;

	world_open(&world, 4);
	for (int i = 0; i < MANY; i++)
		attempt_start(&attempts[i], &world, "pause_a_while", i);
	for (int i = 0; i < MANY; i++) {
		attempt_finish(&attempts[i]);
		CU_ASSERT(attempts[i].result == 0 && attempts[i].end == ISOLATION_RETURNED);
		CU_ASSERT_EQUAL(seen->runs_of[i], 1);
	}
	CU_ASSERT(seen->most_at_once >= 2 && seen->most_at_once <= 4);
	free(attempts);
	world_close(&world);
}

/* ---- dying ---- */

static void check_crash(struct attempt *attempt, const char *how)
{
	CU_ASSERT_EQUAL(attempt->end, ISOLATION_CRASHED);
	CU_ASSERT(attempt->result < 0);
	CU_ASSERT_STRING_EQUAL(attempt->ctx.problem.code, "crashed");
	CU_ASSERT(strstr(attempt->ctx.problem.detail, how) != NULL);
	context_end(&attempt->ctx);
}

TEST(isolation, a_crash_is_that_jobs_own)
{
	struct attempt bystander = { 0 }, crashed = { 0 }, left = { 0 };
	struct world world;

	world_open(&world, 2);
	attempt_start(&bystander, &world, "loop_for_ever", 0);
	attempt_run(&crashed, &world, "abort_at_once");
	check_crash(&crashed, "killed by SIGABRT");
	attempt_run(&left, &world, "leave");
	check_crash(&left, "left with status");
	CU_ASSERT(!bystander.concluded);
	seen->may_end = true;
	attempt_finish(&bystander);
	CU_ASSERT_EQUAL(bystander.result, 0);
	world_close(&world);
}

TEST(isolation, what_is_no_report_is_a_crash)
{
	struct attempt wild = { 0 }, next = { 0 };
	struct world world;

	world_open(&world, 1);
	attempt_run(&wild, &world, "run_wild");
	check_crash(&wild, "wrote over");
	attempt_run(&next, &world, "look_around");
	CU_ASSERT_EQUAL(next.result, 5);
	context_end(&next.ctx);
	world_close(&world);
}

TEST(isolation, an_endless_loop_is_killed_at_its_deadline)
{
	struct attempt attempt = { .delivery.timeout = PRONG_MILLISECONDS(100) };
	struct world world;

	world_open(&world, 1);
	attempt_run(&attempt, &world, "hang_with_a_helper");
	CU_ASSERT_EQUAL(attempt.result, -ETIMEDOUT);
	CU_ASSERT_EQUAL(attempt.end, ISOLATION_RETURNED);
	CU_ASSERT(monotonic_us() - attempt.started_at >= PRONG_MILLISECONDS(100));
	CU_ASSERT_EQUAL(attempt.ctx.problem.status, 0); /* the errno says it all */
	CU_ASSERT(is_gone(seen->child));
	CU_ASSERT(EVENTUALLY(is_gone(seen->grandchild)));
	context_end(&attempt.ctx);
	world_close(&world);
}

TEST(isolation, a_cancelled_job_is_killed)
{
	struct attempt running = { 0 }, waiting = { 0 };
	struct world world;

	world_open(&world, 1);
	attempt_start(&running, &world, "loop_for_ever", 0);
	attempt_start(&waiting, &world, "loop_for_ever", 1);
	CU_ASSERT(EVENTUALLY(seen->started == 1));
	coroutine_cancel(waiting.coroutine);
	attempt_finish(&waiting);
	CU_ASSERT_EQUAL(waiting.result, -ECANCELED);
	CU_ASSERT_EQUAL(waiting.started_at, 0);
	coroutine_cancel(running.coroutine);
	attempt_finish(&running);
	CU_ASSERT_EQUAL(running.result, -ECANCELED);
	CU_ASSERT_EQUAL(running.end, ISOLATION_RETURNED);
	CU_ASSERT(is_gone(seen->child));
	CU_ASSERT_EQUAL(seen->started, 1);
	world_close(&world);
}

/* Some while they wait, some as they are given a place, some as they run, some as they end. */
TEST(isolation, cancelling_at_any_moment_loses_no_place)
{
	struct attempt *attempts = allocate_array(MANY, sizeof(*attempts)), last[2] = { 0 };
	struct world world;
	int begun;

	world_open(&world, 2);
	for (int i = 0; i < MANY; i++)
		attempt_start(&attempts[i], &world, "pause_a_while", i);
	for (int i = 0; i < MANY; i++) {
		struct attempt *other = &attempts[random_u64() % MANY];

		if (!other->concluded)
			coroutine_cancel(other->coroutine);
		attempt_finish(&attempts[i]);
		CU_ASSERT(attempts[i].result == 0 || attempts[i].result == -ECANCELED);
		CU_ASSERT_EQUAL(attempts[i].end, ISOLATION_RETURNED);
	}
	begun = seen->started;
	for (int i = 0; i < 2; i++)
		attempt_start(&last[i], &world, "loop_for_ever", i);
	CU_ASSERT(EVENTUALLY(seen->started == begun + 2));
	seen->may_end = true;
	for (int i = 0; i < 2; i++) {
		attempt_finish(&last[i]);
		CU_ASSERT_EQUAL(last[i].result, 0);
	}
	free(attempts);
	world_close(&world);
}

TEST(isolation, leaves_nothing_running_and_nothing_leaked)
{
	struct world world;

	world_open(&world, 1);
	for (int i = 0; i < 10; i++) {
		struct attempt leaking = { 0 }, leaving = { 0 };
		_cleanup_(freep) char *path = NULL, *text = NULL;
		size_t size;

		attempt_run(&leaking, &world, "leak");
		CU_ASSERT_EQUAL(leaking.result, 0);
		context_end(&leaking.ctx);
		attempt_run(&leaving, &world, "leave_a_helper");
		CU_ASSERT_EQUAL(leaving.result, 0);
		CU_ASSERT(EVENTUALLY(is_gone(seen->grandchild)));
		context_end(&leaving.ctx);
		path = format_text("/proc/%d/statm", seen->nursery);
		CU_ASSERT_FATAL(file_read(path, 4096, &text, &size) == 0);
		CU_ASSERT(atol(strchr(text, ' ')) * getpagesize() < 64 * LARGE);
	}
	world_close(&world);
}

TEST(isolation, says_that_no_process_can_be_started)
{
	struct attempt refused = { 0 }, next = { 0 };
	struct rlimit before, now;
	struct world world;

	world_open(&world, 1);
	CU_ASSERT_FATAL(getrlimit(RLIMIT_NOFILE, &before) == 0);
	now = before;
	now.rlim_cur = (rlim_t)dup(STDERR_FILENO); /* the next descriptor there would be */
	close((int)now.rlim_cur);
	CU_ASSERT_FATAL(setrlimit(RLIMIT_NOFILE, &now) == 0);
	attempt_run(&refused, &world, "look_around");
	CU_ASSERT_FATAL(setrlimit(RLIMIT_NOFILE, &before) == 0);
	CU_ASSERT_EQUAL(refused.result, -EHOSTDOWN);
	CU_ASSERT_EQUAL(refused.end, ISOLATION_RETURNED);
	CU_ASSERT_STRING_EQUAL(refused.ctx.problem.code, "no_process");
	context_end(&refused.ctx);
	attempt_run(&next, &world, "look_around");
	CU_ASSERT_EQUAL(next.result, 5);
	context_end(&next.ctx);
	world_close(&world);
}

TEST(isolation, takes_no_notice_of_signals_to_all)
{
	struct attempt attempt = { 0 }, next = { 0 };
	struct world world;

	world_open(&world, 1);
	attempt_run(&attempt, &world, "take_no_notice");
	CU_ASSERT_EQUAL(attempt.result, 0);
	kill(seen->nursery, SIGTERM);
	kill(seen->nursery, SIGINT);
	attempt_run(&next, &world, "look_around");
	CU_ASSERT_EQUAL(next.result, 5);
	CU_ASSERT(!world.lost);
	context_end(&attempt.ctx);
	context_end(&next.ctx);
	world_close(&world);
}

/* ---- the nursery and the worker ---- */

TEST(isolation, starts_no_nursery_that_nobody_needs)
{
	static const struct registry registry = { 0 };
	struct isolation *isolation = (struct isolation *)&registry;
	struct process process = { .registry = &registry };

	CU_ASSERT_EQUAL(isolation_start(&process, &isolation), 0);
	CU_ASSERT_PTR_NULL(isolation);
	CU_ASSERT_PTR_NULL(isolation_free(isolation));
}

TEST(isolation, holds_no_channel_of_the_worker)
{
	struct world world;
	char byte;

	world_open(&world, 1);
	CU_ASSERT_EQUAL(read(world.channel, &byte, 1), 0); /* waits for the nursery to close its copy */
	world_close(&world);
}

TEST(isolation, a_worker_that_leaves_starts_nothing_more)
{
	struct attempt running = { 0 }, waiting = { 0 }, late = { 0 };
	struct world world;

	world_open(&world, 1);
	attempt_start(&running, &world, "loop_for_ever", 0);
	attempt_start(&waiting, &world, "look_around", 1);
	CU_ASSERT(EVENTUALLY(seen->started == 1));
	isolation_drain(world.isolation);
	attempt_finish(&waiting);
	CU_ASSERT_EQUAL(waiting.end, ISOLATION_NOT_RUN);
	attempt_start(&late, &world, "look_around", 1);
	attempt_finish(&late);
	CU_ASSERT_EQUAL(late.end, ISOLATION_NOT_RUN);
	CU_ASSERT(!running.concluded);
	seen->may_end = true;
	attempt_finish(&running);
	CU_ASSERT_EQUAL(running.result, 0);
	CU_ASSERT_EQUAL(seen->started, 1);
	world_close(&world);
}

TEST(isolation, a_lost_nursery_takes_its_children_along)
{
	struct attempt running = { 0 }, waiting = { 0 }, late = { 0 };
	struct world world;

	world_open(&world, 1);
	attempt_start(&running, &world, "loop_for_ever", 0);
	attempt_start(&waiting, &world, "look_around", 1);
	CU_ASSERT(EVENTUALLY(seen->started == 1));
	kill(seen->nursery, SIGKILL);
	attempt_finish(&running);
	attempt_finish(&waiting);
	CU_ASSERT_EQUAL(running.end, ISOLATION_NOT_RUN);
	CU_ASSERT_EQUAL(waiting.end, ISOLATION_NOT_RUN);
	CU_ASSERT(world.lost);
	CU_ASSERT(EVENTUALLY(is_gone(seen->child)));
	attempt_start(&late, &world, "look_around", 1);
	attempt_finish(&late);
	CU_ASSERT_EQUAL(late.end, ISOLATION_NOT_RUN);
	world_close(&world);
}

static _Noreturn void be_worker(void)
{
	struct attempt attempt = { 0 };
	struct world world;

	world_open(&world, 1);
	attempt_run(&attempt, &world, "hang_with_a_helper");
	_exit(0);
}

TEST(isolation, a_killed_worker_leaves_no_process_behind)
{
	pid_t worker;

	seen_open();
	fflush(NULL);
	worker = fork();
	if (worker == 0)
		be_worker();
	CU_ASSERT(EVENTUALLY(seen->started == 1));
	kill(worker, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(worker, NULL, 0), worker);
	CU_ASSERT(EVENTUALLY(is_gone(seen->nursery)));
	CU_ASSERT(is_gone(seen->child)); /* the nursery has seen to them before it left */
	CU_ASSERT(EVENTUALLY(is_gone(seen->grandchild)));
	seen_close();
}
