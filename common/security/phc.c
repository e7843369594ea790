#include "common/security/phc.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "common/basics.h"

#define MIN_MEMORY_KIB 8
#define MIN_SALT 8
#define MIN_OUTPUT 16

static bool parse_literal(const char **text, const char *literal)
{
	size_t length = strlen(literal);

	if (strncmp(*text, literal, length) != 0)
		return false;
	*text += length;
	return true;
}

/* A decimal number from `min` to `max` without sign or leading zeros. */
static bool parse_number(const char **text, size_t min, size_t max, size_t *ret_number)
{
	const char *at = *text;
	size_t number = 0;

	if (*at < '1' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++) {
		number = number * 10 + (size_t)(*at - '0');
		if (number > max)
			return false;
	}
	if (number < min)
		return false;
	*text = at;
	*ret_number = number;
	return true;
}

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/* To the next '$' or the end, in base64 without padding, of at least `min_size` bytes. */
static bool parse_base64(const char **text, size_t min_size)
{
	unsigned char bytes[PHC_SIZE];
	const char *stop = *text + strspn(*text, BASE64);
	size_t size;

	if (sodium_base642bin(bytes, sizeof(bytes), *text, (size_t)(stop - *text), NULL, &size, NULL,
			      sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0 ||
	    size < min_size)
		return false;
	*text = stop;
	return true;
}

static int fail(const char **ret_reason, const char *reason)
{
	*ret_reason = reason;
	return -EINVAL;
}

int phc_parse(const char *text, struct phc *ret_phc, const char **ret_reason)
{
	struct phc phc;

	if (strnlen(text, PHC_SIZE) == PHC_SIZE)
		return fail(ret_reason, "it is longer than 127 bytes");
	if (!parse_literal(&text, "$argon2id$"))
		return fail(ret_reason, "it is not an Argon2id hash: it does not begin with $argon2id$");
	if (!parse_literal(&text, "v=19$"))
		return fail(ret_reason, "it is not of Argon2's version 19: v=19 is missing");
	if (!parse_literal(&text, "m=") || !parse_number(&text, MIN_MEMORY_KIB, PHC_MAX_MEMORY_KIB, &phc.memory_kib))
		return fail(ret_reason, "its memory is not from m=8 to m=1048576 (KiB)");
	if (!parse_literal(&text, ",t=") || !parse_number(&text, 1, PHC_MAX_PASSES, &phc.passes))
		return fail(ret_reason, "its passes are not from t=1 to t=10");
	if (!parse_literal(&text, ",p=1") || (*text >= '0' && *text <= '9'))
		return fail(ret_reason, "its parallelism is not p=1");
	if (*text != '$')
		return fail(ret_reason, "its parameters are not m, t and p=1 alone");
	text++;
	if (!parse_base64(&text, MIN_SALT) || *text != '$')
		return fail(ret_reason, "its salt is not base64 without padding, of at least 8 bytes");
	text++;
	if (!parse_base64(&text, MIN_OUTPUT) || *text)
		return fail(ret_reason, "its output is not base64 without padding, of at least 16 bytes");
	*ret_phc = phc;
	return 0;
}
