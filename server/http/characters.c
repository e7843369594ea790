#include "server/http/characters.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* clang-format off */
#define ALNUM (HTTP_TCHAR | HTTP_PATH | HTTP_QUERY | HTTP_HOST)
#define MARK (HTTP_TCHAR | HTTP_PATH | HTTP_QUERY)

const uint8_t http_classes[256] = {
	[0 ... 8] = HTTP_CONTROL,
	[10 ... 31] = HTTP_CONTROL,
	[127] = HTTP_CONTROL,
	['0' ... '9'] = ALNUM | HTTP_HEX,
	['A' ... 'F'] = ALNUM | HTTP_HEX,
	['G' ... 'Z'] = ALNUM,
	['a' ... 'f'] = ALNUM | HTTP_HEX,
	['g' ... 'z'] = ALNUM,
	['-'] = ALNUM, ['.'] = ALNUM, ['_'] = ALNUM, ['~'] = ALNUM,
	['!'] = MARK, ['$'] = MARK, ['&'] = MARK, ['\''] = MARK, ['*'] = MARK, ['+'] = MARK,
	['#'] = HTTP_TCHAR, ['%'] = HTTP_TCHAR,
	['^'] = HTTP_TCHAR | HTTP_QUERY, ['`'] = HTTP_TCHAR | HTTP_QUERY, ['|'] = HTTP_TCHAR | HTTP_QUERY,
	['('] = HTTP_PATH | HTTP_QUERY, [')'] = HTTP_PATH | HTTP_QUERY, [','] = HTTP_PATH | HTTP_QUERY,
	[';'] = HTTP_PATH | HTTP_QUERY, ['='] = HTTP_PATH | HTTP_QUERY, [':'] = HTTP_PATH | HTTP_QUERY,
	['@'] = HTTP_PATH | HTTP_QUERY, ['/'] = HTTP_PATH | HTTP_QUERY,
	['?'] = HTTP_QUERY, ['['] = HTTP_QUERY, [']'] = HTTP_QUERY, ['{'] = HTTP_QUERY, ['}'] = HTTP_QUERY,
	['\\'] = HTTP_QUERY,
};
/* clang-format on */

const char *http_find_control(const char *at, const char *end)
{
#ifdef __SSE2__
	const __m128i last = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), delete = _mm_set1_epi8(0x7f);

	for (; end - at >= 16; at += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)at);
		__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last), bytes);
		__m128i hit =
			_mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, delete));
		int mask = _mm_movemask_epi8(hit);

		if (mask)
			return at + __builtin_ctz((unsigned)mask);
	}
#endif
	while (at < end && !http_is(*at, HTTP_CONTROL))
		at++;
	return at;
}
