#include <string.h>

#include "common/basics.h"
#include "common/utf8.h"
#include "server/routes/accounts/accounts.h"

struct range {
	uint32_t first, last;
};

/* Format characters and fillers: nobody sees them, or they move what others see (Unicode 15). */
static const struct range hidden[] = {
	{ 0x00AD, 0x00AD },   { 0x034F, 0x034F },   { 0x061C, 0x061C },	  { 0x115F, 0x1160 }, { 0x17B4, 0x17B5 },
	{ 0x180B, 0x180F },   { 0x200B, 0x200B },   { 0x200E, 0x200F },	  { 0x2028, 0x202E }, { 0x2060, 0x206F },
	{ 0x2800, 0x2800 },   { 0x3164, 0x3164 },   { 0xFEFF, 0xFEFF },	  { 0xFFA0, 0xFFA0 }, { 0xFFF0, 0xFFFB },
	{ 0x1BCA0, 0x1BCA3 }, { 0x1D173, 0x1D17A }, { 0xE0000, 0xE0FFF },
};

/* Joiners and variation selectors: names in Persian or Sinhala need them, within their own script only. */
static const struct range joining[] = { { 0x200C, 0x200D }, { 0xFE00, 0xFE0F } };

static const struct range spaces[] = { { 0x0020, 0x0020 }, { 0x00A0, 0x00A0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A },
				       { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 } };

static bool is_in(uint32_t code, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

static uint32_t decode(const unsigned char *sequence, size_t length)
{
	uint32_t code = length == 1 ? sequence[0] : sequence[0] & (0xFFu >> (length + 1));

	for (size_t i = 1; i < length; i++)
		code = code << 6 | (sequence[i] & 0x3F);
	return code;
}

int name_check(const char *name, const char **ret_reason)
{
	const unsigned char *at = (const unsigned char *)name;
	uint32_t code, before = 0;
	bool blank = true;
	size_t length;

	for (; *at; at += length, before = code) {
		length = utf8_sequence(at, strlen((const char *)at));
		code = length ? decode(at, length) : 0;
		if (!length || utf8_is_control(at, length) || is_in(code, hidden, ARRAY_SIZE(hidden)) ||
		    (before < 0x80 && is_in(code, joining, ARRAY_SIZE(joining)))) {
			*ret_reason = "There is a character in the name that nobody can see.";
			return -EINVAL;
		}
		blank = blank && is_in(code, spaces, ARRAY_SIZE(spaces));
	}
	if (blank) {
		*ret_reason = "The name is blank.";
		return -EINVAL;
	}
	return 0;
}
