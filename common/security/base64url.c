#include "common/security/base64url.h"

#include <errno.h>
#include <sodium.h>

/*
 * Our own, though libsodium has one: 1.0.18's takes some bytes from 0x80 on for digits. What is decoded here is public,
 * so the time may depend on it.
 */
static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -EINVAL;
}

int base64url_decode(const char *text, size_t size, unsigned char *out, size_t capacity, size_t *ret_size)
{
	size_t decoded = 0;
	unsigned bits = 0, n_bits = 0;

	for (size_t i = 0; i < size; i++) {
		int digit = digit_of(text[i]);

		if (digit < 0)
			return digit;
		bits = (bits << 6 | (unsigned)digit) & 0xfff;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		if (decoded == capacity)
			return -EINVAL;
		n_bits -= 8;
		out[decoded++] = (unsigned char)(bits >> n_bits);
	}
	/* A lone last digit, or bits that no byte holds: another text for the same bytes. */
	if (n_bits == 6 || (bits & ((1u << n_bits) - 1)))
		return -EINVAL;
	*ret_size = decoded;
	return 0;
}

void base64url_add(struct buffer *out, const void *data, size_t size)
{
	size_t text_size = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	buffer_reserve(out, text_size);
	sodium_bin2base64(out->data + out->size, text_size, data, size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	out->size += text_size - 1;
}
