#include "server/http/client.h"

#include "common/context.h"
#include "server/http/connection.h"
#include "server/http/exchange.h"
#include "server/http/http_server.h"

#define MAX_DEVICE 200

void client_init(struct client *client, const struct address *address)
{
	client->address = *address;
	address_format(address, client->text);
}

/* ---- X-Forwarded-For ---- */

static struct http_text trimmed(struct http_text text)
{
	while (text.size && (*text.data == ' ' || *text.data == '\t'))
		text.data++, text.size--;
	while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
		text.size--;
	return text;
}

/* Cuts the last entry off a list; false: it was the only one. */
static bool take_last(struct http_text *list, struct http_text *ret_entry)
{
	const char *comma = memrchr(list->data, ',', list->size);
	const char *begin = comma ? comma + 1 : list->data;

	*ret_entry = trimmed((struct http_text){ begin, (size_t)(list->data + list->size - begin) });
	list->size = comma ? (size_t)(comma - list->data) : 0;
	return comma;
}

static bool is_port(const char *text, size_t size)
{
	if (size == 0 || size > 5)
		return false;
	for (size_t i = 0; i < size; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]" or "[2001:db8::1]:80". 0 or -EINVAL. */
static int parse_entry(struct http_text entry, struct address *ret_address)
{
	const char *end = entry.data + entry.size, *host = entry.data, *stop = end, *port;

	if (entry.size && *host == '[') {
		host++;
		stop = memchr(host, ']', entry.size - 1);
		if (!stop || !memchr(host, ':', (size_t)(stop - host)))
			return -EINVAL;
		port = stop + 1;
	} else {
		port = memchr(host, ':', entry.size);
		if (!port || memchr(port + 1, ':', (size_t)(end - port - 1)))
			port = end; /* of IPv6 without brackets all is the address */
		stop = port;
	}
	if (port < end && (*port != ':' || !is_port(port + 1, (size_t)(end - port - 1))))
		return -EINVAL;
	return address_parse(host, (size_t)(stop - host), ret_address);
}

struct address client_forwarded(const struct address *peer, const struct http_head *head,
				const struct address_list *proxies)
{
	struct address believed = *peer;

	for (size_t i = head->n_fields; i-- > 0;) {
		struct http_text list = head->fields[i].value, entry;
		bool more;

		if (!http_text_is(head->fields[i].name, "x-forwarded-for"))
			continue;
		do {
			more = take_last(&list, &entry);
			if (!address_list_has(proxies, &believed) || parse_entry(entry, &believed) < 0)
				return believed;
		} while (more);
	}
	return believed;
}

/* ---- of a request ---- */

const struct client *client_of(struct exchange *exchange)
{
	const struct http_connection *connection = exchange->connection;
	struct address address;

	if (!connection || exchange->client)
		return exchange->client;
	exchange->client = &connection->peer;
	if (connection->peer_is_proxy) {
		address = client_forwarded(&connection->peer.address, &exchange->head,
					   &exchange->server->trusted_proxies);
		client_init(&exchange->forwarded, &address);
		exchange->client = &exchange->forwarded;
	}
	return exchange->client;
}

const char *prong_client_address(const struct prong_ctx *ctx)
{
	const struct client *client = ctx->exchange ? client_of(ctx->exchange) : NULL;

	return client ? client->text : NULL;
}

const char *client_source(const struct prong_ctx *ctx, char text[ADDRESS_SOURCE_SIZE])
{
	const struct client *client = ctx->exchange ? client_of(ctx->exchange) : NULL;

	if (client)
		return address_source(&client->address, text);
	*text = '\0';
	return text;
}

bool client_is_from(const struct prong_ctx *ctx, const char *address)
{
	char own[ADDRESS_SOURCE_SIZE], other[ADDRESS_SOURCE_SIZE];
	struct address parsed;

	if (!address || address_parse(address, strlen(address), &parsed) < 0)
		return false;
	return string_equal(address_source(&parsed, other), client_source(ctx, own));
}

bool client_is_forwarded_in_vain(const struct prong_ctx *ctx)
{
	const struct exchange *exchange = ctx->exchange;

	return exchange && exchange->connection && !exchange->connection->peer_is_proxy &&
	       http_field(&exchange->head, "x-forwarded-for", NULL).data;
}

const char *client_device(const struct prong_ctx *ctx)
{
	struct http_text agent;
	char *device;

	if (!ctx->exchange)
		return NULL;
	agent = http_field(&ctx->exchange->head, "user-agent", NULL);
	if (!agent.size)
		return NULL;
	device =
		arena_strndup(&ctx->exchange->ctx.arena, agent.data, agent.size < MAX_DEVICE ? agent.size : MAX_DEVICE);
	for (char *c = device; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return device;
}
