#include "server/routes/accounts/accounts.h"

#include "common/basics.h"

int email_normalise(const char *email, char ret_normalised[EMAIL_SIZE])
{
	char normalised[EMAIL_SIZE];
	size_t length = 0;

	for (; email[length]; length++) {
		char c = email[length];

		if (c <= ' ' || c > '~' || length == EMAIL_SIZE - 1)
			return -EINVAL;
		normalised[length] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	if (length == 0)
		return -EINVAL;
	memcpy(ret_normalised, normalised, length);
	ret_normalised[length] = '\0';
	return 0;
}
