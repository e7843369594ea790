#include "common/trace.h"

#include <sodium.h>

#include "common/basics.h"

#define VERSION "00-"
#define ID_DIGITS 32
#define PARENT_DIGITS 16
#define FLAG_DIGITS 2

void trace_id_make(char ret_id[TRACE_ID_SIZE])
{
	const uint64_t random[2] = { random_u64(), random_u64() };

	sodium_bin2hex(ret_id, TRACE_ID_SIZE, (const unsigned char *)random, sizeof(random));
}

static bool is_hex(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
			return false;
	return true;
}

static bool is_id(const char *text, size_t size)
{
	if (!is_hex(text, size))
		return false;
	for (size_t i = 0; i < size; i++)
		if (text[i] != '0')
			return true;
	return false;
}

bool trace_id_is_valid(const char *text, size_t size)
{
	return size == ID_DIGITS && is_id(text, size);
}

int trace_parent_read(const char *text, size_t size, char ret_id[TRACE_ID_SIZE])
{
	const char *id, *parent, *flags;

	if (size != strlen(VERSION) + ID_DIGITS + 1 + PARENT_DIGITS + 1 + FLAG_DIGITS)
		return -EINVAL;
	id = text + strlen(VERSION);
	parent = id + ID_DIGITS + 1;
	flags = parent + PARENT_DIGITS + 1;
	if (memcmp(text, VERSION, strlen(VERSION)) != 0 || id[ID_DIGITS] != '-' || parent[PARENT_DIGITS] != '-')
		return -EINVAL;
	if (!is_id(id, ID_DIGITS) || !is_id(parent, PARENT_DIGITS) || !is_hex(flags, FLAG_DIGITS))
		return -EINVAL;
	memcpy(ret_id, id, ID_DIGITS);
	ret_id[ID_DIGITS] = '\0';
	return 0;
}
