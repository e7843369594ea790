#include "common/utf8.h"

#include <errno.h>
#include <string.h>

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high bit of each byte that is zero; of others only behind one (exact enough to be compared with 0). */
static uint64_t zeroes(uint64_t word)
{
	return (word - EACH(0x01)) & ~word & EACH(0x80);
}

size_t utf8_plain(const char *text, size_t size)
{
	size_t i = 0;

	for (uint64_t word; size - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, text + i, sizeof(word));
		/* Above 0x7F, quote, backslash, DEL, or, by the borrow of a subtraction, below 0x20. */
		if ((word & EACH(0x80)) | zeroes(word ^ EACH('"')) | zeroes(word ^ EACH('\\')) |
		    zeroes(word ^ EACH(0x7F)) | ((word - EACH(0x20)) & EACH(0x80)))
			break;
	}
	return i;
}

size_t utf8_sequence(const unsigned char *text, size_t size)
{
	unsigned char lead = text[0], low = 0x80, high = 0xBF;
	size_t length;

	if (lead < 0x80)
		return 1;
	if (lead >= 0xC2 && lead <= 0xDF)
		length = 2;
	else if (lead >= 0xE0 && lead <= 0xEF)
		length = 3;
	else if (lead >= 0xF0 && lead <= 0xF4)
		length = 4;
	else
		return 0;
	if (lead == 0xE0)
		low = 0xA0;
	else if (lead == 0xED)
		high = 0x9F;
	else if (lead == 0xF0)
		low = 0x90;
	else if (lead == 0xF4)
		high = 0x8F;
	if (size < length || text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (text[i] < 0x80 || text[i] > 0xBF)
			return 0;
	return length;
}

int64_t utf8_length(const char *text, size_t size)
{
	const unsigned char *next = (const unsigned char *)text, *end = next + size;
	int64_t length = 0;

	while (next < end) {
		size_t plain = utf8_plain((const char *)next, (size_t)(end - next)), sequence;

		length += (int64_t)plain;
		next += plain;
		if (next == end)
			break;
		sequence = *next < 0x80 ? 1 : utf8_sequence(next, (size_t)(end - next));

		if (!sequence)
			return -EILSEQ;
		next += sequence;
		length++;
	}
	return length;
}

bool utf8_is_control(const unsigned char *bytes, size_t length)
{
	if (length == 1)
		return bytes[0] < 0x20 || bytes[0] == 0x7F;
	if (length == 2)
		return bytes[0] == 0xC2 && bytes[1] < 0xA0;
	if (length != 3 || bytes[0] != 0xE2)
		return false;
	return (bytes[1] == 0x80 && bytes[2] >= 0xA8 && bytes[2] <= 0xAE) ||
	       (bytes[1] == 0x81 && bytes[2] >= 0xA6 && bytes[2] <= 0xA9);
}
