#include "common/postgres/script.h"

#include <ctype.h>
#include <string.h>

#include "common/basics.h"

static bool is_word_start(char c)
{
	return isalpha((unsigned char)c) || c == '_' || (c & 0x80);
}

static bool is_word(char c)
{
	return is_word_start(c) || isdigit((unsigned char)c) || c == '$';
}

static const char *skip_line_comment(const char *at)
{
	return at + strcspn(at, "\n");
}

static const char *skip_block_comment(const char *at)
{
	size_t depth = 0;

	do {
		if (at[0] == '/' && at[1] == '*') {
			depth++;
			at += 2;
		} else if (at[0] == '*' && at[1] == '/') {
			depth--;
			at += 2;
		} else {
			at++;
		}
	} while (depth > 0 && *at);
	return at;
}

static const char *skip_quoted(const char *at, bool backslashes)
{
	char quote = *at++;

	while (*at && (*at != quote || at[1] == quote))
		at += (*at == quote || (*at == '\\' && backslashes)) && at[1] ? 2 : 1;
	return *at ? at + 1 : at;
}

/* At a '$': behind the dollar-quoted string that begins here, or behind the '$' when none does. */
static const char *skip_dollar_quoted(const char *at)
{
	const char *tag_end = at + 1, *end;
	size_t length;

	if (is_word_start(*tag_end))
		while (is_word(*tag_end) && *tag_end != '$')
			tag_end++;
	if (*tag_end != '$')
		return at + 1;
	length = (size_t)(tag_end + 1 - at);
	for (end = tag_end + 1; *end; end++)
		if (*end == '$' && strncmp(end, at, length) == 0)
			return end + length;
	return end;
}

/* Blanks and comments; returns `at` where there are none. */
static const char *skip_blank(const char *at)
{
	for (;;) {
		if (isspace((unsigned char)*at))
			at++;
		else if (at[0] == '-' && at[1] == '-')
			at = skip_line_comment(at);
		else if (at[0] == '/' && at[1] == '*')
			at = skip_block_comment(at);
		else
			return at;
	}
}

struct scan {
	struct script_statement *statement;
	size_t n_words;
	size_t parentheses;
	size_t begin; /* depth of BEGIN ATOMIC … END in a function's body, whose ';' end no statement */
};

static bool creates_routine(const struct script_statement *statement)
{
	const char *kind = string_equal(statement->words[1], "or") ? statement->words[3] : statement->words[1];

	return string_equal(statement->words[0], "create") &&
	       (string_equal(kind, "function") || string_equal(kind, "procedure"));
}

static const char *scan_word(struct scan *scan, const char *at)
{
	char word[sizeof(scan->statement->words[0])] = "";
	size_t length = 0;

	for (; is_word(*at); at++)
		if (length < sizeof(word) - 1)
			word[length++] = (char)tolower((unsigned char)*at);
	/* The prefix of an escape string. */
	if (*at == '\'' && string_equal(word, "e"))
		return skip_quoted(at, true);
	if (scan->n_words < ARRAY_SIZE(scan->statement->words))
		memcpy(scan->statement->words[scan->n_words++], word, sizeof(word));
	if (scan->parentheses == 0 && creates_routine(scan->statement)) {
		if (string_equal(word, "begin") || (scan->begin > 0 && string_equal(word, "case")))
			scan->begin++;
		else if (scan->begin > 0 && string_equal(word, "end"))
			scan->begin--;
	}
	return at;
}

/* Behind the token at `at`, which is not blank. */
static const char *scan_token(struct scan *scan, const char *at)
{
	if (is_word_start(*at))
		return scan_word(scan, at);
	if (*at == '\'' || *at == '"')
		return skip_quoted(at, false);
	if (*at == '$')
		return skip_dollar_quoted(at);
	if (*at == '(')
		scan->parentheses++;
	else if (*at == ')' && scan->parentheses > 0)
		scan->parentheses--;
	return at + 1;
}

bool script_next(const char *script, size_t *position, struct script_statement *ret_statement)
{
	struct script_statement statement;
	struct scan scan = { .statement = &statement };
	const char *at = script + *position, *start, *end;

	memset(&statement, 0, sizeof(statement));
	for (start = skip_blank(at); *start == ';'; start = skip_blank(start))
		start++;
	if (!*start)
		return false;
	for (end = at = start; *at && !(*at == ';' && scan.parentheses == 0 && scan.begin == 0);) {
		const char *next = skip_blank(at);

		if (next == at)
			end = next = scan_token(&scan, at);
		at = next;
	}
	statement.start = (size_t)(start - script);
	statement.length = (size_t)(end - start);
	*position = (size_t)(at - script) + (*at == ';');
	*ret_statement = statement;
	return true;
}
