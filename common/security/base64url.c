#include <sodium.h>

#include "common/security/token.h"

int base64url_decode(const char *text, size_t size, unsigned char *out, size_t capacity, size_t *ret_size)
{
	size_t decoded;

	/* libsodium refuses padding, foreign characters and leftover bits, each as we must; it wants a capacity, not
	 * NULL. */
	if (sodium_base642bin(out, capacity, text, size, NULL, &decoded, NULL,
			      sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
		return -EINVAL;
	*ret_size = decoded;
	return 0;
}
