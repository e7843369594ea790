/* An issuer's web server: says what it is told to, to one client after the other, and counts how often it was asked. */
#ifndef JWKS_SERVER_H
#define JWKS_SERVER_H

#include <pthread.h>
#include <stdbool.h>

struct jwks_server {
	int listener, port;
	pthread_t thread;
	pthread_mutex_t mutex;
	char *answer; /* whole, head and body; NULL: none, the client waits */
	int asked;
	bool ending;
};

void jwks_server_start(struct jwks_server *server);
void jwks_server_end(struct jwks_server *server);

/* What it says from now on: a status line's rest, as in "200 OK", and a body. */
void jwks_server_say(struct jwks_server *server, const char *status, const char *body);

/* Its clients wait until there is something to say again. */
void jwks_server_hang(struct jwks_server *server);

int jwks_server_asked(struct jwks_server *server);

#endif
