/* Reads a password: never from an argument, which everybody on the machine can see. */
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <termios.h>

#include "server/cli/accounts.h"

/* One byte at a time: what follows the line stays where it is. While it waits, the signals held are those of `mask`. */
static int read_line(const sigset_t *mask, char line[SECRET_LINE_SIZE])
{
	for (size_t size = 0;;) {
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		ssize_t n = ppoll(&input, 1, NULL, mask) < 0 ? -1 : read(STDIN_FILENO, line + size, 1);

		if (n < 0)
			return -errno;
		if (n == 0 && size == 0)
			return -ENODATA;
		if (n == 0 || line[size] == '\n') {
			line[size] = '\0';
			return strlen(line) == size ? 0 : -EILSEQ;
		}
		if (++size == SECRET_LINE_SIZE)
			return -E2BIG;
	}
}

static int fail(const struct invocation *invocation, const char *what, int r)
{
	if (r == -ENODATA)
		return command_error(invocation, STATUS_FAILURE, "standard input has no line with the %s", what);
	if (r == -E2BIG)
		return command_error(invocation, STATUS_FAILURE, "the %s is longer than any that is taken", what);
	if (r == -EILSEQ)
		return command_error(invocation, STATUS_FAILURE, "the %s has a NUL in it", what);
	return command_error(invocation, STATUS_FAILURE, "the %s cannot be read: %s", what, strerror(-r));
}

/* ---- the terminal ---- */

static const int interruptions[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	interrupted = number;
}

/* The terminal without echo; what ends the command first puts it back. */
struct silence {
	struct termios before;
	sigset_t mask; /* before */
	struct sigaction actions[ARRAY_SIZE(interruptions)];
};

static int silence_begin(struct silence *silence)
{
	struct sigaction action = { .sa_handler = interrupt };
	struct termios silent;
	sigset_t held;

	if (tcgetattr(STDIN_FILENO, &silence->before) < 0)
		return -errno;
	interrupted = 0;
	sigemptyset(&held);
	for (size_t i = 0; i < ARRAY_SIZE(interruptions); i++) {
		sigaddset(&held, interruptions[i]);
		sigaction(interruptions[i], &action, &silence->actions[i]);
	}
	sigprocmask(SIG_BLOCK, &held, &silence->mask);
	silent = silence->before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	silent.c_lflag |= ECHONL; /* the line's end is shown */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	return 0;
}

static void silence_end(const struct silence *silence)
{
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &silence->before);
	for (size_t i = 0; i < ARRAY_SIZE(interruptions); i++)
		sigaction(interruptions[i], &silence->actions[i], NULL);
	sigprocmask(SIG_SETMASK, &silence->mask, NULL);
	if (interrupted)
		raise(interrupted);
}

static int ask(const char *what, const char *how, char line[SECRET_LINE_SIZE])
{
	struct silence silence;
	int r;

	r = silence_begin(&silence);
	if (r < 0)
		return r;
	fprintf(stderr, "%c%s%s: ", what[0] - 'a' + 'A', what + 1, how);
	r = read_line(&silence.mask, line);
	silence_end(&silence);
	return r;
}

static int ask_twice(const struct invocation *invocation, const char *what, char secret[SECRET_LINE_SIZE])
{
	char again[SECRET_LINE_SIZE];
	bool same;
	int r;

	r = ask(what, ", again", again);
	same = r == 0 && string_equal(again, secret);
	sodium_memzero(again, sizeof(again));
	if (r < 0)
		return fail(invocation, what, r);
	return same ? STATUS_OK : command_error(invocation, STATUS_FAILURE, "the two are not the same");
}

int accounts_read_secret(const struct invocation *invocation, const char *what, bool repeat,
			 char ret_secret[SECRET_LINE_SIZE])
{
	bool terminal = isatty(STDIN_FILENO);
	int r = terminal ? ask(what, "", ret_secret) : read_line(NULL, ret_secret);

	if (r < 0)
		return fail(invocation, what, r);
	return terminal && repeat ? ask_twice(invocation, what, ret_secret) : STATUS_OK;
}
