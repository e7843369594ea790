#include "common/crash.h"

#include <signal.h>

#define LAST_STACK_SIZE 32768 /* the processor's registers take up to 11 KB of it */

static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
static struct sigaction before[ARRAY_SIZE(crashes)];
static _Atomic uint64_t *watched;
static _Thread_local uint64_t own_mark[2];
static _Thread_local char last_stack[LAST_STACK_SIZE];

/* One that a sanitizer has given it stays. */
void crash_attend(void)
{
	const stack_t own = { .ss_sp = last_stack, .ss_size = sizeof(last_stack) };
	stack_t present;

	check(sigaltstack(NULL, &present) == 0);
	if (present.ss_flags & SS_DISABLE)
		check(sigaltstack(&own, NULL) == 0);
}

void crash_set_mark(prong_uuid mark)
{
	memcpy(own_mark, mark.bytes, sizeof(own_mark));
}

/* What was there before this takes over: the instruction that failed is run again, a signal that was sent is sent
 * again. */
static void on_crash(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (own_mark[0] && watched) {
		atomic_store(&watched[0], own_mark[0]);
		atomic_store(&watched[1], own_mark[1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
		if (crashes[i] == number)
			sigaction(number, &before[i], NULL);
	if (info->si_code <= 0)
		raise(number);
}

void crash_watch(_Atomic uint64_t place[2])
{
	struct sigaction action = { .sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	bool change = !place != !watched;

	watched = place;
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(crashes) && change; i++)
		check(sigaction(crashes[i], place ? &action : &before[i], place ? &before[i] : NULL) == 0);
}
