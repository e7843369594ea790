#include "common/log.h"
#include "common/log_output.h"
#include "tests/unit/test.h"

#include <event2/event.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Standard error, taken over for one test. */
struct capture {
	int saved, reader;
	char text[1 << 20];
	size_t size;
};

static struct capture capture;

static void redirect(int reader, int writer)
{
	capture = (struct capture){ .saved = dup(STDERR_FILENO), .reader = reader };
	dup2(writer, STDERR_FILENO);
	close(writer);
	if (reader >= 0)
		fcntl(reader, F_SETFL, O_NONBLOCK);
}

static void redirect_to_pipe(void)
{
	int ends[2];

	CU_ASSERT_FATAL(pipe(ends) == 0);
	redirect(ends[0], ends[1]);
}

/* What has arrived so far, all of it. */
static const char *captured(void)
{
	ssize_t n;

	while ((n = read(capture.reader, capture.text + capture.size, sizeof(capture.text) - 1 - capture.size)) > 0)
		capture.size += (size_t)n;
	capture.text[capture.size] = 0;
	return capture.text;
}

static void restore(void)
{
	dup2(capture.saved, STDERR_FILENO);
	close(capture.saved);
	if (capture.reader >= 0)
		close(capture.reader);
	log_open("prong", "test", PRONG_LOG_INFO, false);
}

static size_t count(const char *text, const char *part)
{
	size_t found = 0;

	for (; (text = strstr(text, part)); text++)
		found++;
	return found;
}

/* Runs what is due now, then returns. */
static void run_once(struct loop *loop)
{
	event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
}

/* The one line captured, as JSON. */
static struct json_object *captured_object(void)
{
	struct json_tokener *tokener = json_tokener_new();
	const char *text = captured();
	struct json_object *object;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	CU_ASSERT(count(text, "\n") == 1);
	object = json_tokener_parse_ex(tokener, text, (int)strlen(text));
	CU_ASSERT_FATAL(object != NULL);
	json_tokener_free(tokener);
	return object;
}

static const char *member(struct json_object *object, const char *name)
{
	struct json_object *value = json_object_object_get(object, name);

	return value ? json_object_get_string(value) : "(absent)";
}

TEST(log, json_line)
{
	struct log_field fields[] = { { .name = "url.path", .text = "/v1/\"x\"" },
				      { .name = "http.response.status_code", .number = 201 },
				      { .name = "event.duration", .number = 1.5 },
				      { .name = "nothing", .number = NAN } };
	struct json_object *object;
	prong_time time;
	char pid[20];

	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_line(PRONG_LOG_ERROR, &(struct log_cause){ "req-1", "trace-1" }, fields, ARRAY_SIZE(fields), "it is %d",
		 42);
	object = captured_object();
	CU_ASSERT(prong_time_parse(member(object, "@timestamp"), &time) == 0);
	CU_ASSERT(llabs(prong_time_now().us - time.us) < PRONG_SECONDS(60));
	CU_ASSERT_STRING_EQUAL(member(object, "log.level"), "error");
	CU_ASSERT_STRING_EQUAL(member(object, "message"), "it is 42");
	CU_ASSERT_STRING_EQUAL(member(object, "service.name"), "notes");
	CU_ASSERT_STRING_EQUAL(member(object, "process.name"), "http 0");
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	CU_ASSERT_STRING_EQUAL(member(object, "process.pid"), pid);
	CU_ASSERT_STRING_EQUAL(member(object, "http.request.id"), "req-1");
	CU_ASSERT_STRING_EQUAL(member(object, "trace.id"), "trace-1");
	CU_ASSERT_STRING_EQUAL(member(object, "url.path"), "/v1/\"x\"");
	CU_ASSERT_STRING_EQUAL(member(object, "http.response.status_code"), "201");
	CU_ASSERT_STRING_EQUAL(member(object, "event.duration"), "1.5");
	CU_ASSERT_PTR_NULL(json_object_object_get(object, "nothing"));
	json_object_put(object);
	restore();
}

TEST(log, names_the_cause_where_there_is_one)
{
	struct json_object *object;

	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_line(PRONG_LOG_INFO, &(struct log_cause){ "", NULL }, NULL, 0, "message");
	object = captured_object();
	CU_ASSERT_STRING_EQUAL(member(object, "http.request.id"), "(absent)");
	CU_ASSERT_STRING_EQUAL(member(object, "trace.id"), "(absent)");
	json_object_put(object);
	restore();

	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_INFO, false);
	log_line(PRONG_LOG_INFO, &(struct log_cause){ "a", "b" }, NULL, 0, "both");
	log_line(PRONG_LOG_INFO, &(struct log_cause){ "a", "a" }, NULL, 0, "same");
	log_line(PRONG_LOG_INFO, &(struct log_cause){ "", "b" }, NULL, 0, "only");
	CU_ASSERT(count(captured(), "both request=a trace=b\n") == 1);
	CU_ASSERT(count(captured(), "same request=a\n") == 1);
	CU_ASSERT(count(captured(), "only trace=b\n") == 1);
	restore();
}

TEST(log, filters_by_level)
{
	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_WARNING, true);
	CU_ASSERT(!log_enabled(PRONG_LOG_DEBUG));
	CU_ASSERT(!log_enabled(PRONG_LOG_INFO));
	CU_ASSERT(log_enabled(PRONG_LOG_WARNING));
	CU_ASSERT(log_enabled(PRONG_LOG_ERROR));
	log_debug("one");
	log_info("two");
	CU_ASSERT_STRING_EQUAL(captured(), "");
	log_warning("three");
	log_error("four");
	CU_ASSERT(count(captured(), "\n") == 2);
	restore();
}

static const char hostile[] = "a\n{\"log.level\":\"error\"}\r\t\033[2J\x7f\xc2\x9b"
			      "31m \xff\xc0\x80 \xe2\x80\xae \xe2\x80\xa8 \"q\" z=1 é";

TEST(log, injection_is_impossible_in_json)
{
	struct log_field field = { .name = "value", .text = hostile };
	struct json_object *object;

	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_line(PRONG_LOG_INFO, &(struct log_cause){ hostile, hostile }, &field, 1, "%s", hostile);
	object = captured_object();
	CU_ASSERT_STRING_EQUAL(member(object, "log.level"), "info");
	CU_ASSERT(strncmp(member(object, "message"), "a\n{\"log.level\":", 15) == 0);
	CU_ASSERT(strstr(member(object, "message"), " \uFFFD\uFFFD\uFFFD ") != NULL);
	CU_ASSERT_STRING_EQUAL(member(object, "value"), member(object, "message"));
	CU_ASSERT(strchr(captured(), '\033') == NULL);
	json_object_put(object);
	restore();
}

TEST(log, injection_is_impossible_in_text)
{
	struct log_field fields[] = { { .name = "value", .text = hostile },
				      { .name = "plain", .text = "x-1" },
				      { .name = "empty", .text = "" },
				      { .name = "fake", .text = "1 status=200" } };
	const char *text;

	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_INFO, false);
	log_line(PRONG_LOG_WARNING, &(struct log_cause){ "id 1", NULL }, fields, ARRAY_SIZE(fields), "%s", hostile);
	text = captured();
	CU_ASSERT(count(text, "\n") == 1);
	CU_ASSERT(count(text, "WARNING http 0") == 1);
	for (const char *c = text; c[1]; c++)
		CU_ASSERT((unsigned char)*c >= 0x20 && *c != 0x7F);
	CU_ASSERT(count(text, "a\\n{\"log.level\":\"error\"}\\x0d\\x09\\x1b[2J\\x7f\\xc2\\x9b31m ") == 1);
	CU_ASSERT(count(text, " \uFFFD\uFFFD\uFFFD \\xe2\\x80\\xae \\xe2\\x80\\xa8 \"q\" z=1 é") == 1);
	CU_ASSERT(count(text, " value=\"a\\n{\\\"log.level") == 1);
	CU_ASSERT(count(text, " plain=x-1 empty=\"\" fake=\"1 status=200\" request=\"id 1\"\n") == 1);
	restore();
}

TEST(log, long_texts_are_cut_to_one_whole_line)
{
	static char text[20000], controls[5000];
	struct log_field fields[] = { { .name = "controls", .text = controls }, { .name = "last", .number = 7 } };
	struct json_object *object;

	for (size_t i = 0; i + 3 < sizeof(text); i += 2)
		memcpy(text + i, "é", 3);
	memset(controls, 1, sizeof(controls) - 1);
	for (int json = 0; json <= 1; json++) {
		redirect_to_pipe();
		log_open("notes", "http 0", PRONG_LOG_INFO, json);
		log_line(PRONG_LOG_INFO, NULL, fields, 2, "%s", text);
		CU_ASSERT(strlen(captured()) <= 4096);
		CU_ASSERT(count(captured(), "\n") == 1);
		CU_ASSERT(count(captured(), "é…") == 1);
		CU_ASSERT(count(captured(), "\uFFFD") == 0);
		if (json) {
			object = captured_object();
			CU_ASSERT_STRING_EQUAL(member(object, "last"), "7");
			json_object_put(object);
		}
		restore();
	}
}

TEST(log, more_fields_than_a_line_holds)
{
	static struct log_field fields[1000];
	struct json_object *object;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = (struct log_field){ .name = "field", .text = "text" };
	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_line(PRONG_LOG_INFO, NULL, fields, ARRAY_SIZE(fields), "message");
	object = captured_object();
	json_object_put(object);
	restore();
}

TEST(log, gathers_lines_until_the_turn_ends)
{
	struct loop *loop = loop_new(1);
	const char *text;

	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_attach(loop);
	log_info("first");
	log_info("second");
	CU_ASSERT_STRING_EQUAL(captured(), "");
	run_once(loop);
	text = captured();
	CU_ASSERT(count(text, "\n") == 2);
	CU_ASSERT(strstr(text, "first") < strstr(text, "second"));
	log_info("third");
	log_detach();
	CU_ASSERT(count(captured(), "third") == 1);
	log_info("fourth");
	CU_ASSERT(count(captured(), "fourth") == 1);
	run_once(loop);
	CU_ASSERT(count(captured(), "\n") == 4);
	restore();
	loop_free(loop);
}

TEST(log, leaves_the_shared_descriptor_blocking)
{
	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_info("line");
	CU_ASSERT((fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK) == 0);
	restore();
}

/* Logs far more than reader and buffer hold, then reads: nothing blocks, lines are whole, and the loss is told. */
static void overfill(void)
{
	struct loop *loop = loop_new(1);
	uint64_t dropped;
	size_t kept = 0;
	const char *text;
	char report[64];

	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_attach(loop);
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < 100; j++)
			log_info("line %d.%d of many that nobody reads", i, j);
		run_once(loop);
	}
	dropped = log_output_dropped();
	CU_ASSERT(dropped > 0 && dropped < 10000);
	do {
		kept = capture.size;
		captured();
		run_once(loop);
		captured();
	} while (capture.size != kept);
	text = captured();
	CU_ASSERT_EQUAL(count(text, "of many that nobody reads"), 10000 - dropped);
	snprintf(report, sizeof(report), "\"%llu log lines were dropped", (unsigned long long)dropped);
	CU_ASSERT(count(text, report) == 1);
	CU_ASSERT(count(text, "{\"@timestamp\"") == count(text, "}\n"));
	log_info("after all");
	run_once(loop);
	CU_ASSERT(count(captured(), "after all") == 1);
	CU_ASSERT(count(captured(), "were dropped") == 1);
	log_detach();
	restore();
	loop_free(loop);
}

TEST(log, a_full_pipe_drops_lines_and_tells)
{
	redirect_to_pipe();
	overfill();
}

TEST(log, a_full_socket_drops_lines_and_tells)
{
	int ends[2];

	CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	redirect(ends[0], ends[1]);
	overfill();
}

TEST(log, a_full_pipe_blocks_no_end)
{
	struct loop *loop = loop_new(1);

	redirect_to_pipe();
	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_attach(loop);
	for (int i = 0; i < 10000; i++)
		log_info("line %d of many that nobody reads", i);
	log_detach();
	log_info("one that nobody reads either");
	CU_ASSERT(log_output_dropped() > 0);
	restore();
	loop_free(loop);
}

TEST(log, a_vanished_reader_and_a_full_disk_are_survived)
{
	struct loop *loop = loop_new(1); /* ignores SIGPIPE */
	int ends[2], full = open("/dev/full", O_WRONLY);

	CU_ASSERT_FATAL(pipe(ends) == 0);
	close(ends[0]);
	redirect(-1, ends[1]);
	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_attach(loop);
	log_info("one");
	log_info("two");
	run_once(loop);
	CU_ASSERT(log_output_dropped() == 2);
	log_detach();
	restore();

	CU_ASSERT_FATAL(full >= 0);
	redirect(-1, full);
	log_open("notes", "http 0", PRONG_LOG_INFO, true);
	log_info("one");
	CU_ASSERT(log_output_dropped() == 1);
	restore();
	loop_free(loop);
}

TEST(log, lines_of_many_processes_never_mix)
{
	enum { WRITERS = 4, LINES = 300 };
	pid_t pids[WRITERS];
	size_t good = 0;
	char *line, *rest;
	int running = WRITERS;

	redirect_to_pipe();
	for (int i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			char text[600];

			memset(text, 'a' + i, sizeof(text));
			log_open("notes", "writer", PRONG_LOG_INFO, true);
			for (int j = 0; j < LINES; j++)
				log_info("%.*s", 200 + j, text);
			_exit(log_output_dropped() > 0);
		}
	}
	while (running > 0) {
		captured();
		running -= waitpid(-1, NULL, WNOHANG) > 0;
	}
	captured();
	rest = capture.text;
	while ((line = strsep(&rest, "\n")) && *line) {
		char *message = strstr(line, "\"message\":\"");

		good += message && strspn(message + 11, (char[]){ message[11], 0 }) >= 200 &&
			line[strlen(line) - 1] == '}';
	}
	CU_ASSERT_EQUAL(good, WRITERS * LINES);
	restore();
}

TEST(log, a_fork_does_not_repeat_its_parents_lines)
{
	struct loop *loop = loop_new(1);
	pid_t pid;

	redirect_to_pipe();
	log_open("notes", "master", PRONG_LOG_INFO, true);
	log_attach(loop);
	log_info("of the parent");
	pid = fork();
	if (pid == 0) {
		log_open("notes", "child", PRONG_LOG_INFO, true);
		log_info("of the child");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	run_once(loop);
	CU_ASSERT(count(captured(), "of the parent") == 1);
	CU_ASSERT(count(captured(), "of the child") == 1);
	log_detach();
	restore();
	loop_free(loop);
}
