#include "common/redis/resolve.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "common/basics.h"

/* What thread and loop share; the last one to leave frees it. */
struct resolve {
	atomic_int holders;
	int signal; /* eventfd: the thread is done */
	int error;
	struct addrinfo *addresses;
	char *host, *port;

	struct event *event; /* the loop's */
	resolve_function *done;
	void *argument;
};

static void resolve_leave(struct resolve *resolve)
{
	if (atomic_fetch_sub(&resolve->holders, 1) > 1)
		return;
	close(resolve->signal);
	if (resolve->addresses)
		freeaddrinfo(resolve->addresses);
	free(resolve->host);
	free(resolve->port);
	free(resolve);
}

static void *resolve_thread(void *argument)
{
	struct resolve *resolve = argument;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };

	resolve->error = getaddrinfo(resolve->host, resolve->port, &hints, &resolve->addresses);
	eventfd_write(resolve->signal, 1);
	resolve_leave(resolve);
	return NULL;
}

static void resolve_done(int fd, short what, void *argument)
{
	struct resolve *resolve = argument;
	struct addrinfo *addresses = resolve->addresses;

	(void)fd, (void)what;
	resolve->addresses = NULL;
	event_free(resolve->event);
	resolve->done(resolve->argument, resolve->error, addresses);
	resolve_leave(resolve);
}

static int start_thread(struct resolve *resolve)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int r;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the loop thread's */
	r = pthread_create(&thread, &attributes, resolve_thread, resolve);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return r;
}

struct resolve *resolve_start(struct event_base *base, const char *host, const char *port, resolve_function *done,
			      void *argument)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	int signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct resolve *resolve;

	if (signal < 0)
		return NULL;
	resolve = allocate(sizeof(*resolve));
	*resolve = (struct resolve){ .holders = 1,
				     .signal = signal,
				     .host = duplicate(host),
				     .port = duplicate(port),
				     .done = done,
				     .argument = argument };
	resolve->event = event_new(base, resolve->signal, EV_READ, resolve_done, resolve);
	check(resolve->event && event_add(resolve->event, NULL) == 0);
	if (getaddrinfo(host, port, &hints, &resolve->addresses) == 0) { /* an address needs no thread */
		eventfd_write(resolve->signal, 1);
		return resolve;
	}
	atomic_store(&resolve->holders, 2);
	if (start_thread(resolve) != 0) {
		resolve->error = EAI_AGAIN;
		eventfd_write(resolve->signal, 1);
		resolve_leave(resolve);
	}
	return resolve;
}

struct resolve *resolve_cancel(struct resolve *resolve)
{
	if (!resolve)
		return NULL;
	event_free(resolve->event);
	resolve_leave(resolve);
	return NULL;
}
