#include "common/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>

static const unsigned char mapped[12] = { [10] = 0xff, 0xff };
static const unsigned char translated[12] = { 0x00, 0x64, 0xff, 0x9b };

static bool is_ipv4(const struct address *address)
{
	return !address->local && memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
}

static struct address from_ipv4(const void *bytes)
{
	struct address address = { 0 };

	memcpy(address.bytes, mapped, sizeof(mapped));
	memcpy(address.bytes + sizeof(mapped), bytes, 4);
	return address;
}

int address_parse(const char *text, size_t size, struct address *ret_address)
{
	char copy[ADDRESS_TEXT_SIZE];
	struct address address = { 0 };
	unsigned char ipv4[4];

	if (size == 0 || size >= sizeof(copy) || memchr(text, '\0', size))
		return -EINVAL;
	memcpy(copy, text, size);
	copy[size] = '\0';
	if (inet_pton(AF_INET, copy, ipv4) == 1)
		address = from_ipv4(ipv4);
	else if (inet_pton(AF_INET6, copy, address.bytes) != 1)
		return -EINVAL;
	*ret_address = address;
	return 0;
}

struct address address_of_socket(const struct sockaddr_storage *socket)
{
	struct address address = { 0 };

	if (socket->ss_family == AF_INET)
		return from_ipv4(&((const struct sockaddr_in *)socket)->sin_addr);
	if (socket->ss_family == AF_INET6)
		memcpy(address.bytes, &((const struct sockaddr_in6 *)socket)->sin6_addr, sizeof(address.bytes));
	else
		address.local = true;
	return address;
}

const char *address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
	if (address->local)
		memcpy(text, "unix", sizeof("unix"));
	else if (is_ipv4(address))
		inet_ntop(AF_INET, address->bytes + sizeof(mapped), text, ADDRESS_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, address->bytes, text, ADDRESS_TEXT_SIZE);
	return text;
}

const char *address_source(const struct address *address, char text[ADDRESS_SOURCE_SIZE])
{
	struct address source = *address;

	if (source.local || is_ipv4(&source))
		return address_format(&source, text);
	if (memcmp(source.bytes, translated, sizeof(translated)) == 0) {
		source = from_ipv4(source.bytes + sizeof(translated));
		return address_format(&source, text);
	}
	memset(source.bytes + 8, 0, 8);
	address_format(&source, text);
	return strcat(text, "/64");
}

/* ---- lists ---- */

static bool has_bit(const struct address *address, unsigned bit)
{
	return address->bytes[bit / 8] & (0x80 >> bit % 8);
}

static bool prefix_has(const struct address_prefix *prefix, const struct address *address)
{
	unsigned whole = prefix->bits / 8, left = prefix->bits % 8;

	if (prefix->address.local || address->local)
		return prefix->address.local && address->local;
	if (memcmp(prefix->address.bytes, address->bytes, whole) != 0)
		return false;
	return !left || ((prefix->address.bytes[whole] ^ address->bytes[whole]) & (0xff00 >> left & 0xff)) == 0;
}

bool address_list_has(const struct address_list *list, const struct address *address)
{
	for (size_t i = 0; i < list->count; i++)
		if (prefix_has(&list->items[i], address))
			return true;
	return false;
}

static void add(struct address_list *list, const struct address *address, unsigned bits)
{
	list->items = reallocate(list->items, (list->count + 1) * sizeof(*list->items));
	list->items[list->count++] = (struct address_prefix){ *address, bits };
}

static void add_text(struct address_list *list, const char *text, unsigned bits)
{
	struct address address;

	check(address_parse(text, strlen(text), &address) == 0);
	add(list, &address, bits);
}

/* The number after the slash; -EINVAL. */
static int parse_bits(const char *text, unsigned max, unsigned *ret_bits)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long bits;

	if (!digits || digits > 3 || text[digits] || (digits > 1 && *text == '0'))
		return -EINVAL;
	bits = strtoul(text, NULL, 10);
	if (bits > max)
		return -EINVAL;
	*ret_bits = (unsigned)bits;
	return 0;
}

static int add_prefix(struct address_list *list, const char *word, char **ret_reason)
{
	const char *slash = strchrnul(word, '/');
	struct address address;
	unsigned outside, bits;

	if (address_parse(word, (size_t)(slash - word), &address) < 0) {
		*ret_reason = format_text("'%s' is neither an address nor a prefix: write as in 10.0.0.0/8, 192.0.2.7, "
					  "2001:db8::/32, loopback or unix, with commas between",
					  word);
		return -EINVAL;
	}
	outside = is_ipv4(&address) ? 96 : 0;
	bits = 128 - outside;
	if (*slash && parse_bits(slash + 1, bits, &bits) < 0) {
		*ret_reason = format_text("'%s': after the slash comes a number of bits up to %u", word, 128 - outside);
		return -EINVAL;
	}
	if (bits == 0) {
		*ret_reason = format_text(
			"'%s' is everybody: then any client could claim any address; name the proxies", word);
		return -EINVAL;
	}
	for (unsigned bit = outside + bits; bit < 128; bit++)
		if (has_bit(&address, bit)) {
			*ret_reason = format_text("'%s': the address has bits after the first %u", word, bits);
			return -EINVAL;
		}
	add(list, &address, outside + bits);
	return 0;
}

static int add_word(struct address_list *list, const char *word, char **ret_reason)
{
	if (strcasecmp(word, "unix") == 0) {
		add(list, &(struct address){ .local = true }, 128);
		return 0;
	}
	if (strcasecmp(word, "loopback") == 0) {
		add_text(list, "127.0.0.0", 96 + 8);
		add_text(list, "::1", 128);
		return 0;
	}
	return add_prefix(list, word, ret_reason);
}

static char *trim(char *word)
{
	size_t size;

	word += strspn(word, " \t");
	for (size = strlen(word); size && (word[size - 1] == ' ' || word[size - 1] == '\t'); size--)
		word[size - 1] = '\0';
	return word;
}

int address_list_parse(const char *text, struct address_list *ret_list, char **ret_reason)
{
	_cleanup_(freep) char *copy = duplicate(text ? text : "");
	struct address_list list = { 0 };
	char *rest = copy, *word;

	while (*copy && (word = strsep(&rest, ","))) {
		if (add_word(&list, trim(word), ret_reason) < 0) {
			address_list_free(&list);
			return -EINVAL;
		}
	}
	*ret_list = list;
	return 0;
}

void address_list_free(struct address_list *list)
{
	free(list->items);
	*list = (struct address_list){ 0 };
}
