/*
 * Addresses of clients, and lists of addresses and prefixes. IPv6's forms of an IPv4 address (::ffff:192.0.2.1) are
 * that IPv4 address throughout. Plain values; nothing here suspends.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <sys/socket.h>

#include "common/basics.h"

struct address {
	unsigned char bytes[16]; /* of IPv6; IPv4 as ::ffff:a.b.c.d */
	bool local;		 /* a Unix socket: no address at all */
};

#define ADDRESS_TEXT_SIZE 46 /* INET6_ADDRSTRLEN */

/* Reads an IPv4 or IPv6 address: no port, no brackets, no zone. 0; -EINVAL for anything else. */
int address_parse(const char *text, size_t size, struct address *ret_address);

/* Of a peer, as accept() gives it; what is neither IPv4 nor IPv6 is local. */
struct address address_of_socket(const struct sockaddr_storage *socket);

/* "192.0.2.1", "2001:db8::1", or "unix"; returns `text`. */
const char *address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE]);

/*
 * Whom a limit is for: an IPv4 address, or an IPv6 /64, which one customer has as a whole and may change at will
 * within. IPv4 that was translated to IPv6 (64:ff9b::/96, RFC 6052) is the IPv4 address. Returns `text`.
 */
#define ADDRESS_SOURCE_SIZE (ADDRESS_TEXT_SIZE + 3)
const char *address_source(const struct address *address, char text[ADDRESS_SOURCE_SIZE]);

/* A list of addresses and prefixes. */
struct address_prefix {
	struct address address;
	unsigned bits; /* of the 128 */
};

struct address_list {
	size_t count;
	struct address_prefix *items;
};

/*
 * Reads "10.0.0.0/8, 2001:db8::7, loopback, unix". NULL and "" are an empty list. 0, or -EINVAL with a malloc'ed
 * sentence that says what to write instead. The list's memory is the caller's: address_list_free().
 */
int address_list_parse(const char *text, struct address_list *ret_list, char **ret_reason);
void address_list_free(struct address_list *list); /* leaves it empty */
bool address_list_has(const struct address_list *list, const struct address *address);

#endif
