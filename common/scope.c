#include "common/scope.h"

#include <string.h>

bool scope_is_valid(const char *name)
{
	size_t length = strlen(name);

	return length >= 1 && length <= SCOPE_MAX_LENGTH &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") == length;
}

bool scope_list_has(const char *list, const char *name)
{
	size_t size = strlen(name), length;

	for (; *list; list += length + (list[length] == ' ')) {
		length = strcspn(list, " ");
		if (length > 0 && length == size && memcmp(list, name, size) == 0)
			return true;
	}
	return false;
}
