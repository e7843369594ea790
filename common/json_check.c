#include "common/basics.h"
#include "common/json.h"
#include "common/utf8.h"

/* A name in an object that is still open. */
struct key {
	const char *at;	  /* of its opening quote in the text */
	const char *text; /* unescaped */
	size_t length;
};

struct scanner {
	const char *start, *next, *end;
	struct arena *arena;
	const char *problem;	/* what was wrong first, NULL so far */
	const char *problem_at; /* and where */
	size_t depth;
	struct key *keys; /* of all open objects, outermost first */
	size_t n_keys, max_keys;
	struct key few_keys[32];
};

static bool scan_value(struct scanner *s);

static bool fail_at(struct scanner *s, const char *at, const char *problem)
{
	s->problem = problem;
	s->problem_at = at;
	return false;
}

static bool fail(struct scanner *s, const char *problem)
{
	return fail_at(s, s->next, s->next < s->end ? problem : "the text ends too early");
}

/* The next byte, or -1 at the end. */
static int peek(const struct scanner *s)
{
	return s->next < s->end ? (unsigned char)*s->next : -1;
}

static bool take(struct scanner *s, char c)
{
	if (peek(s) != (unsigned char)c)
		return false;
	s->next++;
	return true;
}

static void skip_space(struct scanner *s)
{
	while (s->next < s->end && (*s->next == ' ' || *s->next == '\n' || *s->next == '\r' || *s->next == '\t'))
		s->next++;
}

static bool scan_word(struct scanner *s, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(s->end - s->next) < length || memcmp(s->next, word, length) != 0)
		return fail(s, "a value is expected");
	s->next += length;
	return true;
}

static bool scan_number(struct scanner *s)
{
	bool integer;
	size_t size = json_number(s->next, (size_t)(s->end - s->next), &integer);

	if (!size)
		return fail(s, "a number needs digits");
	s->next += size;
	return true;
}

/* The four digits after \u; -1 when they are not. */
static int scan_code_unit(struct scanner *s)
{
	int value = 0;

	for (int i = 0; i < 4; i++, s->next++) {
		int c = peek(s), lower = c | 0x20;

		if (c >= '0' && c <= '9')
			value = value * 16 + c - '0';
		else if (lower >= 'a' && lower <= 'f')
			value = value * 16 + lower - 'a' + 10;
		else
			return -1;
	}
	return value;
}

static bool scan_unicode_escape(struct scanner *s, const char *at)
{
	int unit = scan_code_unit(s), low;

	if (unit < 0)
		return fail(s, "\\u takes four hexadecimal digits");
	if (unit < 0xD800 || unit > 0xDFFF)
		return true;
	if (unit > 0xDBFF || !take(s, '\\') || !take(s, 'u'))
		return fail_at(s, at, "a surrogate stands alone");
	low = scan_code_unit(s);
	if (low < 0)
		return fail(s, "\\u takes four hexadecimal digits");
	if (low < 0xDC00 || low > 0xDFFF)
		return fail_at(s, at, "a surrogate stands alone");
	return true;
}

static bool scan_escape(struct scanner *s)
{
	const char *at = s->next++;
	int c = peek(s);

	if (c < 0)
		return fail(s, NULL);
	if (!strchr("\"\\/bfnrtu", c) || c == '\0')
		return fail_at(s, at, "there is no such escape");
	s->next++;
	return c != 'u' || scan_unicode_escape(s, at);
}

/* At the opening quote. */
static bool scan_string(struct scanner *s, bool *ret_escaped)
{
	bool escaped = false;

	for (s->next++; s->next < s->end;) {
		unsigned char c;
		size_t sequence;

		s->next += utf8_plain(s->next, (size_t)(s->end - s->next));
		if (s->next == s->end)
			break;
		c = (unsigned char)*s->next;

		if (c == '"') {
			s->next++;
			*ret_escaped = escaped;
			return true;
		}
		if (c == '\\') {
			escaped = true;
			if (!scan_escape(s))
				return false;
			continue;
		}
		if (c < 0x20)
			return fail(s, "a control character must be escaped");
		sequence = c < 0x80 ? 1 : utf8_sequence((const unsigned char *)s->next, (size_t)(s->end - s->next));
		if (!sequence)
			return fail(s, "this is not UTF-8");
		s->next += sequence;
	}
	return fail(s, NULL);
}

static void remember_key(struct scanner *s, const char *at, bool escaped)
{
	struct json_slice slice = { .text = at + 1, .length = (size_t)(s->next - at) - 2, .escaped = escaped };
	struct key key = { .at = at, .text = slice.text, .length = slice.length };

	if (escaped)
		key.text = json_unescape(&slice, s->arena, &key.length);
	if (s->n_keys == s->max_keys) {
		struct key *grown = allocate_array(s->max_keys * 2, sizeof(*grown));

		memcpy(grown, s->keys, s->n_keys * sizeof(*grown));
		if (s->keys != s->few_keys)
			free(s->keys);
		s->keys = grown;
		s->max_keys *= 2;
	}
	s->keys[s->n_keys++] = key;
}

static int compare_keys(const void *a, const void *b)
{
	const struct key *left = a, *right = b;

	if (left->length != right->length)
		return left->length < right->length ? -1 : 1;
	return memcmp(left->text, right->text, left->length);
}

/* Forgets the names of the object that ends here, if no two are alike. */
static bool close_keys(struct scanner *s, size_t first)
{
	struct key *keys = s->keys + first;
	size_t count = s->n_keys - first;

	s->n_keys = first;
	if (count > 8)
		qsort(keys, count, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count && (j == i + 1 || count <= 8); j++)
			if (compare_keys(&keys[i], &keys[j]) == 0)
				return fail_at(s, keys[i].at > keys[j].at ? keys[i].at : keys[j].at,
					       "this name occurs twice in its object");
	return true;
}

static bool scan_member(struct scanner *s)
{
	const char *at = s->next;
	bool escaped;

	if (peek(s) != '"')
		return fail(s, "a name in double quotes is expected");
	if (!scan_string(s, &escaped))
		return false;
	remember_key(s, at, escaped);
	skip_space(s);
	if (!take(s, ':'))
		return fail(s, "a colon is expected");
	return scan_value(s);
}

static bool scan_object(struct scanner *s)
{
	size_t first = s->n_keys;

	s->next++;
	skip_space(s);
	if (take(s, '}'))
		return true;
	for (;;) {
		skip_space(s);
		if (!scan_member(s))
			return false;
		skip_space(s);
		if (take(s, '}'))
			return close_keys(s, first);
		if (!take(s, ','))
			return fail(s, "a comma or a closing brace is expected");
	}
}

static bool scan_array(struct scanner *s)
{
	s->next++;
	skip_space(s);
	if (take(s, ']'))
		return true;
	for (;;) {
		if (!scan_value(s))
			return false;
		skip_space(s);
		if (take(s, ']'))
			return true;
		if (!take(s, ','))
			return fail(s, "a comma or a closing bracket is expected");
	}
}

/* Recursion is bounded by JSON_MAX_DEPTH, so it fits a coroutine's stack. */
static bool scan_nested(struct scanner *s)
{
	bool good;

	if (s->depth == JSON_MAX_DEPTH)
		return fail(s, "arrays and objects are nested too deeply; 64 levels are allowed");
	s->depth++;
	good = *s->next == '{' ? scan_object(s) : scan_array(s);
	s->depth--;
	return good;
}

static bool scan_value(struct scanner *s)
{
	bool escaped;

	skip_space(s);
	switch (peek(s)) {
	case '{':
	case '[':
		return scan_nested(s);
	case '"':
		return scan_string(s, &escaped);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	case '-':
	case '0' ... '9':
		return scan_number(s);
	default:
		return fail(s, "a value is expected");
	}
}

static bool scan_text(struct scanner *s)
{
	if (s->end - s->start >= 3 && memcmp(s->start, "\xEF\xBB\xBF", 3) == 0)
		return fail(s, "a byte order mark is not allowed");
	skip_space(s);
	if (s->next == s->end)
		return fail_at(s, s->start, "there is no value");
	if (!scan_value(s))
		return false;
	skip_space(s);
	return s->next == s->end || fail(s, "nothing may follow the value");
}

/* Counts lines from 1 and columns from 1 in characters, as editors show them. */
static const char *describe(const struct scanner *s)
{
	size_t line = 1, column = 1;

	for (const char *place = s->start; place < s->problem_at; place++) {
		if (*place == '\n') {
			line++;
			column = 1;
		} else if ((*place & 0xC0) != 0x80) {
			column++;
		}
	}
	return arena_format(s->arena, "This is not valid JSON at line %zu, column %zu: %s.", line, column, s->problem);
}

int json_check(const char *text, size_t size, struct arena *arena, const char **ret_detail)
{
	struct scanner s = { .start = text, .next = text, .end = text + size, .arena = arena };
	bool good;

	s.keys = s.few_keys;
	s.max_keys = ARRAY_SIZE(s.few_keys);
	good = scan_text(&s);
	if (s.keys != s.few_keys)
		free(s.keys);
	if (good)
		return 0;
	*ret_detail = describe(&s);
	return -EBADMSG;
}
