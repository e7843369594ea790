#include "common/security/token.h"

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
