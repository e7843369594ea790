#include "common/metrics.h"
#include "tests/unit/test.h"

#include <sys/mman.h>
#include <sys/wait.h>

/* Metrics are defined once per process: every test runs in one of its own, which leaves its output here. */
static char *output;

static void in_process(void (*function)(void))
{
	int status = -1;
	pid_t pid;

	output = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (pid == 0) {
		struct buffer out = { 0 };

		function();
		metrics_write(&out);
		memcpy(output, buffer_text(&out), out.size + 1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	CU_ASSERT(status == 0);
}

static void done(void)
{
	munmap(output, 65536);
}

static void child(size_t slot, void (*function)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		metrics_use_slot(slot);
		function();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static metric_id created, failed, alive, unused, duration, slow;

static void define_all(void)
{
	created = metric_define(METRIC_COUNTER, "jobs_total", "state=\"created\"", "Jobs by state.");
	failed = metric_define(METRIC_COUNTER, "jobs_total", "state=\"failed\"", "Jobs by state.");
	alive = metric_define(METRIC_GAUGE, "requests_alive", NULL, "Requests that run now.");
	unused = metric_define(METRIC_COUNTER, "unused_total", NULL, "Never touched.");
	duration =
		metric_define(METRIC_HISTOGRAM, "request_seconds", "route=\"/v1/notes/{id}\",method=\"GET\"", "Time.");
	slow = metric_define(METRIC_HISTOGRAM, "slow_seconds", NULL, "Other time.");
	metrics_map(3);
}

static void work_one(void)
{
	metric_add(created, 2);
	metric_add(failed, 0);
	metric_set(alive, 5);
	metric_observe(duration, 100);
	metric_observe(duration, 101);
	metric_observe(duration, 2600);
}

static void work_two(void)
{
	metric_add(created, 40);
	metric_set(alive, -2);
	metric_add(0, 1);
	metric_set(0, 1);
	metric_observe(0, 1);
	metric_observe(duration, -5);
	metric_observe(duration, 10000001);
}

static void two_processes(void)
{
	define_all();
	metric_add(created, 1000); /* the master uses no slot */
	child(0, work_one);
	child(2, work_two);
}

TEST(metrics, are_summed_over_processes)
{
	in_process(two_processes);
	CU_ASSERT_STRING_EQUAL(
		output, "# HELP jobs_total Jobs by state.\n"
			"# TYPE jobs_total counter\n"
			"jobs_total{state=\"created\"} 42\n"
			"jobs_total{state=\"failed\"} 0\n"
			"# HELP requests_alive Requests that run now.\n"
			"# TYPE requests_alive gauge\n"
			"requests_alive 3\n"
			"# HELP request_seconds Time.\n"
			"# TYPE request_seconds histogram\n"
#define BUCKET(le, count) "request_seconds_bucket{route=\"/v1/notes/{id}\",method=\"GET\",le=\"" le "\"} " count "\n"
		BUCKET("0.0001", "2") BUCKET("0.00025", "3") BUCKET("0.0005", "3") BUCKET("0.001", "3") BUCKET(
			"0.0025", "3") BUCKET("0.005", "4") BUCKET("0.01", "4") BUCKET("0.025", "4") BUCKET("0.05", "4")
			BUCKET("0.1", "4") BUCKET("0.25", "4") BUCKET("0.5", "4") BUCKET("1", "4") BUCKET("2.5", "4")
				BUCKET("5", "4") BUCKET("10", "4") BUCKET(
					"+Inf",
					"5") "request_seconds_sum{route=\"/v1/notes/{id}\",method=\"GET\"} 10.002802\n"
					     "request_seconds_count{route=\"/v1/notes/{id}\",method=\"GET\"} 5\n");
	done();
}

static void observe_slow(void)
{
	metric_observe(slow, 10000000);
}

static void without_labels(void)
{
	define_all();
	child(1, observe_slow);
}

TEST(metrics, bounds_are_inclusive_and_labels_optional)
{
	in_process(without_labels);
	CU_ASSERT(strstr(output, "slow_seconds_bucket{le=\"5\"} 0\nslow_seconds_bucket{le=\"10\"} 1\n"
				 "slow_seconds_bucket{le=\"+Inf\"} 1\nslow_seconds_sum 10\n"
				 "slow_seconds_count 1\n") != NULL);
	CU_ASSERT(!strstr(output, "request_seconds"));
	done();
}

static void succession(void)
{
	define_all();
	child(0, work_one);
	child(0, work_one);
	metrics_use_slot(0); /* a third, which does nothing */
}

TEST(metrics, counts_survive_a_process_and_gauges_do_not)
{
	in_process(succession);
	CU_ASSERT(strstr(output, "jobs_total{state=\"created\"} 4\n") != NULL);
	CU_ASSERT(strstr(output, "requests_alive 0\n") != NULL);
	CU_ASSERT(strstr(output, "request_seconds_count{route=\"/v1/notes/{id}\",method=\"GET\"} 6\n") != NULL);
	done();
}

static void unmapped(void)
{
	metric_add(metric_define(METRIC_COUNTER, "early_total", NULL, "Before the map."), 1);
}

TEST(metrics, do_nothing_before_they_are_mapped)
{
	in_process(unmapped);
	CU_ASSERT_STRING_EQUAL(output, "");
	done();
}

static void work_unmapped(void)
{
	metrics_unmap();
	work_one();
}

static void apart(void)
{
	define_all();
	child(0, work_one);
	child(0, work_unmapped);
}

TEST(metrics, a_process_can_leave_them_alone)
{
	in_process(apart);
	CU_ASSERT(strstr(output, "jobs_total{state=\"created\"} 2\n") != NULL);
	done();
}
