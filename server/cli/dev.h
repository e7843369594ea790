/*
 * The folder .prong/ of the working directory: what `dev` keeps there, and what it says to other commands.
 *
 *     lock       held while `dev` runs
 *     env        DATABASE_URL, REDIS_URL, PRONG_SECRET of what runs, for the other commands
 *     secret     PRONG_SECRET, made once
 *     postgres/  PostgreSQL's data and socket, or a link to them;  postgres.log
 *     redis/     Redis' data and socket;                           redis.log
 *     mail/      the development mailbox
 */
#ifndef DEV_H
#define DEV_H

#include "server/cli/cli.h"
#include "server/cli/service.h"

#define DEV_FOLDER ".prong"
#define DEV_ENVIRONMENT DEV_FOLDER "/env"

/* Whether another process runs `dev` in this working directory. */
bool dev_is_running(void);

/* Makes the folder and takes its lock, which lives as long as the fd. 0, or the exit status after having said why not.
 */
int dev_folder_open(const struct invocation *invocation, int *ret_lock);

/* Reads the secret, or makes it. Results as above; the caller frees `ret_secret`. */
int dev_secret(const struct invocation *invocation, char **ret_secret);

/* Writes what settings_read() takes; a NULL value is left out. Results as above. */
int dev_environment_write(const struct invocation *invocation, const char *database_url, const char *redis_url,
			  const char *secret);

/* The absolute path of a name below the working directory, malloc'ed; NULL when that cannot be told. */
char *dev_path(const char *name);

/*
 * A folder for the socket `name`: `folder` itself, or a short one below /tmp, made for `user` (NULL: this one), where
 * the kernel's 107 bytes would not suffice. Malloc'ed; NULL with errno. dev_socket_folder_remove() removes a made one.
 */
char *dev_socket_folder(const char *folder, const char *name, const struct service_user *user);
void dev_socket_folder_remove(const char *folder, const char *socket_folder);

/* Percent-encodes all but unreserved characters and '/'; malloc'ed. */
char *dev_url_encode(const char *path);

#endif
