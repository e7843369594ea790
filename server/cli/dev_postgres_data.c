#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "server/cli/dev.h"
#include "server/cli/dev_postgres.h"

#define FOLDER DEV_FOLDER "/postgres"
#define LOG DEV_FOLDER "/postgres.log"
#define PACKAGED "/usr/lib/postgresql/"
#define OUTSIDE "/var/tmp/prong-XXXXXX"
#define PATIENCE PRONG_SECONDS(300) /* for initdb on a slow disk */

/* ---- the programs ---- */

/* The version that made the data; 0: there is none, -1: damaged. */
static int data_version(const struct dev_postgres *postgres)
{
	_cleanup_(freep) char *file = format_text("%s/PG_VERSION", postgres->data), *text = NULL;
	size_t size;
	int version;

	if (access(postgres->data, F_OK) < 0)
		return 0;
	if (file_read(file, 64, &text, &size) < 0)
		return -1;
	version = atoi(text);
	return version > 0 ? version : -1;
}

static bool has_programs(const char *folder)
{
	_cleanup_(freep) char *server = format_text("%s/postgres", folder), *initdb = format_text("%s/initdb", folder);

	return access(server, X_OK) == 0 && access(initdb, X_OK) == 0;
}

static void find_packaged(struct dev_postgres *postgres, int wanted)
{
	glob_t found = { 0 };

	if (glob(PACKAGED "*/bin", 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++) {
			int version = atoi(found.gl_pathv[i] + strlen(PACKAGED));

			if (!has_programs(found.gl_pathv[i]) ||
			    (wanted ? version != wanted : version <= postgres->version))
				continue;
			free(postgres->bin);
			postgres->bin = duplicate(found.gl_pathv[i]);
			postgres->version = version;
		}
	globfree(&found);
}

static void find_in_path(struct dev_postgres *postgres)
{
	_cleanup_(freep) char *path = duplicate(getenv("PATH") ? getenv("PATH") : "");

	for (char *rest = path, *folder; (folder = strsep(&rest, ":"));)
		if (*folder && has_programs(folder)) {
			postgres->bin = duplicate(folder);
			return;
		}
}

static int find_programs(struct dev_postgres *postgres, const struct invocation *invocation)
{
	int made_by = data_version(postgres);

	if (made_by > 0)
		find_packaged(postgres, made_by);
	if (!postgres->bin)
		find_packaged(postgres, 0);
	if (!postgres->bin)
		find_in_path(postgres);
	if (!postgres->bin)
		return command_error(
			invocation, STATUS_UNAVAILABLE,
			"PostgreSQL's server is not installed: run `sudo apt-get install postgresql`, or set "
			"DATABASE_URL");
	if (made_by < 0)
		return command_error(
			invocation, STATUS_CONFIGURATION,
			"%s holds no PostgreSQL database (its PG_VERSION cannot be read): remove %s to begin anew",
			postgres->data, FOLDER);
	if (made_by && postgres->version && made_by != postgres->version)
		return command_error(invocation, STATUS_CONFIGURATION,
				     "%s was made by PostgreSQL %d, but %d is installed: run `sudo apt-get install "
				     "postgresql-%d`, or remove it to begin anew",
				     FOLDER, made_by, postgres->version, made_by);
	return STATUS_OK;
}

/* ---- its home ---- */

/* Whether PostgreSQL's user can use the folder: asked in a child that has become that user. */
static int user_access(const struct dev_postgres *postgres, const char *folder)
{
	int wait_status = 0;
	pid_t pid;

	if (!postgres->service.user)
		return access(folder, R_OK | W_OK | X_OK) < 0 ? -errno : 0;
	pid = fork();
	if (pid == 0)
		_exit(service_become(postgres->service.user) < 0 ? EPERM
		      : access(folder, R_OK | W_OK | X_OK) < 0	 ? errno
								 : 0);
	if (pid < 0)
		return -errno;
	waitpid(pid, &wait_status, 0);
	return WIFEXITED(wait_status) ? -WEXITSTATUS(wait_status) : -EIO;
}

static int give_away(const struct dev_postgres *postgres, const char *folder)
{
	const struct service_user *user = postgres->service.user;

	return user && chown(folder, user->uid, user->gid) < 0 ? -errno : 0;
}

/* A place that PostgreSQL's user can reach, with a link to it from where it belongs. */
static int make_outside(struct dev_postgres *postgres, const struct invocation *invocation)
{
	char outside[] = OUTSIDE;

	rmdir(FOLDER);
	if (!mkdtemp(outside) || give_away(postgres, outside) < 0 || symlink(outside, FOLDER) < 0)
		return command_error(invocation, STATUS_CONFIGURATION,
				     "no folder for PostgreSQL can be made in /var/tmp: %s", strerror(errno));
	printf("PostgreSQL runs as user %s, who cannot reach this folder: its data is in %s.\n",
	       postgres->service.user->name, outside);
	return STATUS_OK;
}

static int make_home(struct dev_postgres *postgres, const struct invocation *invocation)
{
	_cleanup_(freep) char *path = dev_path(FOLDER);
	struct stat info;
	int r = 0;

	if (!path)
		return command_error(invocation, STATUS_CONFIGURATION, "the working directory is gone: %s",
				     strerror(errno));
	if (lstat(FOLDER, &info) < 0) {
		if (mkdir(FOLDER, 0700) < 0 || give_away(postgres, FOLDER) < 0)
			return command_error(invocation, STATUS_CONFIGURATION, "the folder %s cannot be made: %s",
					     FOLDER, strerror(errno));
		if (postgres->service.user && user_access(postgres, path) < 0)
			r = make_outside(postgres, invocation);
		if (r)
			return r;
	}

	postgres->home = realpath(FOLDER, NULL);
	if (!postgres->home)
		return command_error(invocation, STATUS_CONFIGURATION,
				     "what the link %s points to is gone: remove the link to begin anew", FOLDER);
	r = user_access(postgres, postgres->home);
	if (r < 0)
		return command_error(
			invocation, STATUS_CONFIGURATION,
			"%s cannot be used by user %s: %s: give it to that user, or remove %s to begin anew",
			postgres->home, postgres->service.user ? postgres->service.user->name : "running this",
			strerror(-r), FOLDER);
	postgres->data = format_text("%s/data", postgres->home);
	return STATUS_OK;
}

/* ---- its data ---- */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info;
	(void)type;
	(void)walk;
	return remove(path);
}

static void remove_tree(const char *folder)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int run_initdb(struct dev_postgres *postgres, const struct invocation *invocation, const char *folder)
{
	_cleanup_(freep) char *program = format_text("%s/initdb", postgres->bin), *end = NULL;
	struct service initdb = {
		.name = "initdb", .log = LOG, .user = postgres->service.user, .stop_signal = SIGTERM
	};
	const char *const argv[] = {
		program,      "--pgdata", folder,     "--username", "prong",	 "--auth", "trust",
		"--encoding", "UTF8",	  "--locale", "C.UTF-8",    "--no-sync", NULL,
	};
	int r = service_start(&initdb, argv);

	if (r == 0)
		r = service_finish(&initdb, PATIENCE);
	service_stop(&initdb);
	if (r == -EINTR)
		return r;
	if (r == 0 && WIFEXITED(initdb.wait_status) && WEXITSTATUS(initdb.wait_status) == 0)
		return STATUS_OK;
	service_show_log(&initdb);
	end = r < 0 ? duplicate(strerror(-r)) : service_end_text(&initdb);
	return command_error(invocation, STATUS_UNAVAILABLE, "PostgreSQL's data cannot be made by %s: %s; see %s",
			     program, end, LOG);
}

static int make_data(struct dev_postgres *postgres, const struct invocation *invocation)
{
	_cleanup_(freep) char *temporary = format_text("%s.new", postgres->data);
	int status;

	remove_tree(temporary); /* of a start that was cut short */
	status = run_initdb(postgres, invocation, temporary);
	if (status == STATUS_OK && rename(temporary, postgres->data) < 0)
		status = command_error(invocation, STATUS_CONFIGURATION, "%s cannot be made: %s", postgres->data,
				       strerror(errno));
	if (status)
		remove_tree(temporary);
	return status;
}

int dev_postgres_make(struct dev_postgres *postgres, const struct invocation *invocation)
{
	int status = make_home(postgres, invocation);

	if (status)
		return status;
	status = find_programs(postgres, invocation);
	if (status)
		return status;
	return access(postgres->data, F_OK) == 0 ? STATUS_OK : make_data(postgres, invocation);
}
