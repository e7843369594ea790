/*
 * Whom requests come from: the peer that was accepted, or, where that is one of TRUSTED_PROXIES, whom X-Forwarded-For
 * names. Nothing here suspends.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "common/address.h"
#include "server/http/parser.h"

struct prong_ctx;
struct exchange;

struct client {
	struct address address;
	char text[ADDRESS_TEXT_SIZE];
};

void client_init(struct client *client, const struct address *address);

/*
 * Each proxy adds the address that it was called from at the end of X-Forwarded-For (all its fields are one list), so
 * only what a trusted one has added is believed: from the end, the first address that is not itself one of `proxies`.
 * An entry that is no address ends the walk, at the last address believed; so does the list's beginning.
 */
struct address client_forwarded(const struct address *peer, const struct http_head *head,
				const struct address_list *proxies);

/* The client of an exchange; NULL without a connection, as in unit tests. Lives as long as the exchange. */
const struct client *client_of(struct exchange *exchange);

/* address_source() of the request's client; "" in a job or command. Returns `text`. */
const char *client_source(const struct prong_ctx *ctx, char text[ADDRESS_SOURCE_SIZE]);

/* Whether an address in text form is of the same source as the request's client. False where either is none. */
bool client_is_from(const struct prong_ctx *ctx, const char *address);

/* Whether X-Forwarded-For came from a peer that is not among TRUSTED_PROXIES. */
bool client_is_forwarded_in_vain(const struct prong_ctx *ctx);

/*
 * What the client calls itself, of User-Agent: at most 200 characters, '?' for what is not printable ASCII. NULL where
 * it says nothing, and in a job or command. In the context's memory.
 */
const char *client_device(const struct prong_ctx *ctx);

#endif
