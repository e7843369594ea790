#include "server/supervisor/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static void free_addresses(struct addrinfo **addresses)
{
	if (*addresses)
		freeaddrinfo(*addresses);
}

static int refused(const char *host, int port, int error, char **ret_reason)
{
	switch (error) {
	case EADDRINUSE:
		*ret_reason = format_text("%s port %d is taken by another process: stop it, or set PORT to another one "
					  "(0 takes any free one)",
					  host, port);
		return STATUS_TRY_AGAIN;
	case EACCES:
		*ret_reason = format_text(
			"%s port %d needs a privilege that this user has not: set PORT to 1024 or more", host, port);
		return STATUS_CONFIGURATION;
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		*ret_reason =
			format_text("HOST '%s' is no address of this machine: set 127.0.0.1, or 0.0.0.0 for all of "
				    "its addresses",
				    host);
		return STATUS_CONFIGURATION;
	default:
		*ret_reason = format_text("%s port %d cannot be listened on: %s", host, port, strerror(error));
		return STATUS_FAILURE;
	}
}

static int resolve(const char *host, int port, struct addrinfo **ret_addresses, char **ret_reason)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
	};
	char service[16];
	int r;

	snprintf(service, sizeof(service), "%d", port);
	r = getaddrinfo(host, service, &hints, ret_addresses);
	if (r == 0)
		return 0;
	*ret_reason = format_text("HOST '%s' cannot be looked up: %s", host,
				  r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
	return r == EAI_AGAIN || r == EAI_SYSTEM ? STATUS_UNAVAILABLE : STATUS_CONFIGURATION;
}

/* The bound socket, or -1 with errno. */
static int bind_one(const struct addrinfo *address)
{
	int on = 1, off = 0, saved;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, address->ai_addr, address->ai_addrlen) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int listener_bind(const char *host, int port, int *ret_fd, char **ret_reason)
{
	_cleanup_(free_addresses) struct addrinfo *addresses = NULL;
	int status = resolve(host, port, &addresses, ret_reason), fd = -1;

	if (status)
		return status;
	for (const struct addrinfo *address = addresses; address; address = address->ai_next) {
		fd = bind_one(address);
		if (fd >= 0 || (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT))
			break;
	}
	if (fd < 0)
		return refused(host, port, errno, ret_reason);
	*ret_fd = fd;
	return 0;
}

int listener_listen(int fd, const char *host, int port, char **ret_reason)
{
	if (listen(fd, SOMAXCONN) == 0)
		return 0;
	return refused(host, port, errno, ret_reason);
}

int listener_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		panic("getsockname: %s", strerror(errno));
	return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
						   : ((struct sockaddr_in *)&address)->sin_port);
}
