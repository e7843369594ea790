/*
 * Fuzzes the form of an API key: what passes has the prefix, the length and the characters of one, and passes no more
 * with any one character changed. Texts that begin with '+' are completed with the right checksum first.
 */
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>

#include "common/basics.h"
#include "common/security/api_key.h"

#define DIGITS 43

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const char *text, size_t size)
{
	unsigned char hash[API_KEY_HASH_SIZE];
	char changed[API_KEY_SIZE];

	if (!api_key_is_valid(text, size))
		return;
	check(size == API_KEY_SIZE - 1 && api_key_is_meant(text, size));
	api_key_hash(text, hash);
	for (size_t i = strlen(API_KEY_PREFIX); i < size; i++) {
		check(isalnum((unsigned char)text[i]));
		memcpy(changed, text, size);
		changed[i] = text[i] == 'x' ? 'y' : 'x';
		check(!api_key_is_valid(changed, size));
	}
}

/* As an independent reading of what is documented: CRC-32 of the digits, in six digits of base62. */
static void complete(const char *digits, char key[API_KEY_SIZE])
{
	static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint32_t crc = 0xffffffff;

	for (int i = 0; i < DIGITS; i++)
		for (int bit = 0; bit < 8; bit++) {
			uint32_t in = ((unsigned char)digits[i] >> bit & 1) ^ (crc & 1);

			crc = crc >> 1 ^ (in ? 0xedb88320 : 0);
		}
	crc = ~crc;
	snprintf(key, API_KEY_SIZE, API_KEY_PREFIX "%.*s", DIGITS, digits);
	for (int i = API_KEY_SIZE - 2; i > API_KEY_SIZE - 8; i--, crc /= 62)
		key[i] = base62[crc % 62];
	key[API_KEY_SIZE - 1] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char key[API_KEY_SIZE];

	check(sodium_init() >= 0);
	look((const char *)data, size);
	if (size == DIGITS + 1 && data[0] == '+' && !memchr(data, '\0', size)) {
		complete((const char *)data + 1, key);
		look(key, API_KEY_SIZE - 1);
		for (size_t i = 0; i < DIGITS; i++)
			if (data[i + 1] > 'z' || !isalnum(data[i + 1]))
				return 0;
		check(api_key_is_valid(key, API_KEY_SIZE - 1));
	}
	return 0;
}
