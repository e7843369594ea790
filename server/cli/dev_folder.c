#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "server/cli/dev.h"

#define LOCK_FILE DEV_FOLDER "/lock"
#define SECRET_FILE DEV_FOLDER "/secret"
#define SECRET_BYTES 32
#define MAX_SECRET_SIZE 4096
#define SHORT_FOLDER "/tmp/prong-XXXXXX"

bool dev_is_running(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	_cleanup_(closep) int fd = open(LOCK_FILE, O_RDWR | O_CLOEXEC);

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int dev_folder_open(const struct invocation *invocation, int *ret_lock)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	_cleanup_(closep) int fd = -1;

	if (mkdir(DEV_FOLDER, 0755) < 0 && errno != EEXIST)
		return command_error(invocation, STATUS_CONFIGURATION,
				     "the folder %s cannot be made here: %s: run this in a folder you may write to",
				     DEV_FOLDER, strerror(errno));
	fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return command_error(invocation, STATUS_CONFIGURATION,
				     "%s cannot be written: %s: make it yours, or remove %s", LOCK_FILE,
				     strerror(errno), DEV_FOLDER);
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return command_error(invocation, STATUS_TRY_AGAIN,
				     "another `%s dev` is running here: stop that one first", invocation->program);
	*ret_lock = fd;
	fd = -1;
	return STATUS_OK;
}

int dev_secret(const struct invocation *invocation, char **ret_secret)
{
	unsigned char random[SECRET_BYTES];
	char text[2 * SECRET_BYTES + 1];
	_cleanup_(freep) char *secret = NULL;
	size_t size;
	int r;

	r = file_read(SECRET_FILE, MAX_SECRET_SIZE, &secret, &size);
	if (r == 0) {
		while (size && secret[size - 1] == '\n')
			secret[--size] = '\0';
		if (size == strspn(secret, "0123456789abcdef") && size == 2 * SECRET_BYTES) {
			*ret_secret = secret;
			secret = NULL;
			return STATUS_OK;
		}
	}
	if (r != -ENOENT)
		return command_error(
			invocation, STATUS_CONFIGURATION,
			"%s is damaged (%s): restore it; or remove it and %s/postgres, whose signing keys are "
			"encrypted with it",
			SECRET_FILE, r < 0 ? strerror(-r) : "it is not 64 hexadecimal digits", DEV_FOLDER);

	if (sodium_init() < 0)
		panic("libsodium cannot start");
	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(text, sizeof(text), random, sizeof(random));
	r = file_write(SECRET_FILE, 0600, text, strlen(text));
	if (r < 0)
		return command_error(invocation, STATUS_CONFIGURATION, "%s cannot be written: %s", SECRET_FILE,
				     strerror(-r));
	*ret_secret = duplicate(text);
	return STATUS_OK;
}

static void add_variable(struct buffer *out, const char *name, const char *value)
{
	if (!value)
		return;
	buffer_add_format(out, "%s=\"", name);
	for (; *value; value++) {
		if (strchr("\"\\$", *value))
			buffer_add_char(out, '\\');
		buffer_add_char(out, *value);
	}
	buffer_add_string(out, "\"\n");
}

int dev_environment_write(const struct invocation *invocation, const char *database_url, const char *redis_url,
			  const char *secret)
{
	struct buffer out = { 0 };
	int r;

	add_variable(&out, "DATABASE_URL", database_url);
	add_variable(&out, "REDIS_URL", redis_url);
	add_variable(&out, "PRONG_SECRET", secret);
	r = file_write(DEV_ENVIRONMENT, 0600, out.data, out.size);
	buffer_free(&out);
	if (r == 0)
		return STATUS_OK;
	return command_error(invocation, STATUS_CONFIGURATION, "%s cannot be written: %s", DEV_ENVIRONMENT,
			     strerror(-r));
}

char *dev_path(const char *name)
{
	_cleanup_(freep) char *here = getcwd(NULL, 0);

	return here ? format_text("%s/%s", here, name) : NULL;
}

char *dev_socket_folder(const char *folder, const char *name, const struct service_user *user)
{
	char made[] = SHORT_FOLDER;

	if (strlen(folder) + 1 + strlen(name) < sizeof(((struct sockaddr_un *)0)->sun_path))
		return duplicate(folder);
	if (!mkdtemp(made))
		return NULL;
	if (user && chown(made, user->uid, user->gid) < 0)
		return NULL;
	return duplicate(made);
}

void dev_socket_folder_remove(const char *folder, const char *socket_folder)
{
	if (socket_folder && !string_equal(folder, socket_folder))
		rmdir(socket_folder);
}

char *dev_url_encode(const char *path)
{
	struct buffer out = { 0 };

	for (; *path; path++) {
		char c = *path;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~/", c))
			buffer_add_char(&out, c);
		else
			buffer_add_format(&out, "%%%02X", (unsigned char)c);
	}
	buffer_text(&out);
	return out.data;
}
