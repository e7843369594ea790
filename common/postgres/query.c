#include "common/postgres/query.h"

#include <sodium.h>
#include <stdio.h>

#include "common/log.h"
#include "common/postgres/script.h"

#define TABLE_SIZE 1024 /* a power of two, above QUERIES_MAX */

struct queries {
	size_t count;
	struct query *table[TABLE_SIZE]; /* open addressing */
	uint32_t seen[TABLE_SIZE];	 /* the hashes of texts seen once; a newer one takes an older one's place */
	bool full_logged;
};

struct queries *queries_new(void)
{
	return allocate(sizeof(struct queries));
}

struct queries *queries_free(struct queries *queries)
{
	if (!queries)
		return NULL;
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		if (queries->table[i])
			free(queries->table[i]->sql);
		free(queries->table[i]);
	}
	free(queries);
	return NULL;
}

/* Only for finding: names come from a real digest. */
static uint64_t hash_text(const char *text, size_t length)
{
	uint64_t hash = length * UINT64_C(0x9e3779b97f4a7c15), word;

	for (; length >= sizeof(word); text += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, text, length);
	hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
	return hash ^ hash >> 29;
}

static void name_query(struct query *query)
{
	unsigned char digest[12];
	char hex[2 * sizeof(digest) + 1];

	crypto_generichash(digest, sizeof(digest), (const unsigned char *)query->sql, strlen(query->sql), NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
	snprintf(query->name, sizeof(query->name), "p%s_%x", hex, query->generation);
}

static bool worth_keeping(struct queries *queries, const char *sql, uint64_t hash)
{
	uint32_t *seen = &queries->seen[hash % TABLE_SIZE];

	if (*seen != (uint32_t)(hash >> 32)) {
		*seen = (uint32_t)(hash >> 32);
		return false;
	}
	if (query_is_session_control(sql))
		return false;
	if (queries->count < QUERIES_MAX)
		return true;
	if (!queries->full_logged)
		log_warning(
			"more than %d different SQL texts: further ones are not prepared. Pass values as parameters, "
			"not in the text",
			QUERIES_MAX);
	queries->full_logged = true;
	return false;
}

/* FOR UPDATE and its kin hold locks until their transaction's end, and SELECT INTO makes a table. */
static bool is_plain_select(const char *sql)
{
	struct script_statement statement;
	size_t position = 0;

	return script_next(sql, &position, &statement) && string_equal(statement.words[0], "select") &&
	       !strcasestr(sql, "for") && !strcasestr(sql, "into");
}

struct query *queries_find(struct queries *queries, const char *sql)
{
	size_t length = strlen(sql);
	uint64_t hash = hash_text(sql, length);
	struct query *query;
	size_t place;

	for (place = hash % TABLE_SIZE; (query = queries->table[place]); place = (place + 1) % TABLE_SIZE)
		if (query->hash == hash && memcmp(query->sql, sql, length + 1) == 0)
			return query;
	if (!worth_keeping(queries, sql, hash))
		return NULL;
	query = allocate(sizeof(*query));
	query->index = queries->count++;
	query->hash = hash;
	query->sql = duplicate(sql);
	query->is_select = is_plain_select(sql);
	query->generation = 1;
	name_query(query);
	queries->table[place] = query;
	return query;
}

void query_renew(struct query *query)
{
	query->generation++;
	name_query(query);
}

bool query_is_session_control(const char *sql)
{
	static const char *const words[] = { "begin",	"start",     "commit",	 "end",	    "rollback",
					     "abort",	"savepoint", "release",	 "prepare", "deallocate",
					     "discard", "listen",    "unlisten", "reset" };
	struct script_statement statement;
	size_t position = 0;

	if (!script_next(sql, &position, &statement))
		return false;
	if (string_equal(statement.words[0], "set"))
		return !string_equal(statement.words[1], "local") && !string_equal(statement.words[1], "transaction") &&
		       !string_equal(statement.words[1], "constraints");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (string_equal(statement.words[0], words[i]))
			return true;
	return false;
}
