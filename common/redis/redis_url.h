/* A REDIS_URL taken apart: redis://[user:password@]host[:port][/db] or unix:///path[?db=n], percent-decoded. */
#ifndef REDIS_URL_H
#define REDIS_URL_H

struct redis_url {
	char *path; /* of a Unix socket; NULL: host and port */
	char *host, *port;
	char *user, *password; /* NULL: none */
	char database[12];     /* decimal; "0" by default */
};

/* 0, or -EINVAL with the reason (malloc'ed, names no password). */
int redis_url_parse(const char *text, struct redis_url *ret_url, char **ret_reason);
void redis_url_clear(struct redis_url *url);

#endif
