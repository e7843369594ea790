/* The PostgreSQL of `dev`: its own data and socket below .prong/, never run as root. */
#ifndef DEV_POSTGRES_H
#define DEV_POSTGRES_H

#include "server/cli/cli.h"
#include "server/cli/service.h"

struct dev_postgres {
	struct service service;
	struct service_user user; /* name NULL: whoever runs `dev` */
	char *home;		  /* absolute: .prong/postgres, or what it links to */
	char *data;
	char *socket_folder;
	char *bin;   /* the folder of its programs */
	int version; /* 15; 0: unknown */
	char *url;
};

/*
 * Makes the data where there is none and starts the server, with room for all of the application's connections. 0 once
 * it answers; the exit status after having said what is wrong; -EINTR when asked to stop meanwhile. In any case
 * dev_postgres_stop() is to be called.
 */
int dev_postgres_start(struct dev_postgres *postgres, struct invocation *invocation);
void dev_postgres_stop(struct dev_postgres *postgres);

/* ---- in dev_postgres_data.c ---- */

/*
 * Finds the programs, those of the version that made the data, else the newest; makes `home` and, by initdb into
 * another name, `data`, where they are not; refuses what is damaged. Results as above.
 */
int dev_postgres_make(struct dev_postgres *postgres, const struct invocation *invocation);

#endif
