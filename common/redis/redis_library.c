#include <sodium.h>
#include <stdio.h>

#include "common/buffer.h"
#include "common/redis/redis.h"

#define VERSION_BYTES 6

void redis_library_make(struct redis_library *library, const char *name, const char *const parts[], size_t count)
{
	unsigned char hash[crypto_generichash_BYTES];
	char hex[2 * VERSION_BYTES + 1];
	struct buffer text = { 0 }, source = { 0 };

	for (size_t i = 0; i < count; i++)
		buffer_add_string(&text, parts[i]);
	crypto_generichash(hash, sizeof(hash), (const unsigned char *)text.data, text.size, NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), hash, VERSION_BYTES);
	check(strlen(name) + sizeof("_") + 2 * VERSION_BYTES <= sizeof(library->version));
	snprintf(library->version, sizeof(library->version), "%s_%s", name, hex);
	buffer_add_format(&source, "#!lua name=prong_%s\nlocal VERSION = '%s'\n", library->version, library->version);
	buffer_add(&source, text.data, text.size);
	buffer_text(&source);
	buffer_free(&text);
	library->source = source.data;
}
