#include "common/postgres/detached.h"

#include <pthread.h>
#include <signal.h>

#include "common/log.h"

int detached_start(void *(*function)(void *argument), void *argument)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int r;

	/* Signals are the loop's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attributes, function, argument);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static void *cancel(void *argument)
{
	PGcancel *request = argument;
	char reason[256];

	/* When it fails, the statement's own time-out ends it. */
	PQcancel(request, reason, sizeof(reason));
	PQfreeCancel(request);
	return NULL;
}

void detached_cancel(PGconn *pg)
{
	PGcancel *request = PQgetCancel(pg);

	if (request && detached_start(cancel, request) < 0)
		PQfreeCancel(request);
}
