/*
 * Fuzzes the reading of Cookie fields: each line of the input is the value of one. What is found is compared with a
 * second reading, written differently: cut everything at ';' first, then count.
 */
#include "common/buffer.h"
#include "server/http/cookies.h"

#define NAME "__Host-prong_access"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
	size_t count;
	char *value; /* of the last; malloc'ed */
};

static void read_pair(struct reading *reading, const char *pair)
{
	const char *begin = pair + strspn(pair, " \t"), *end = pair + strlen(pair);

	while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if ((size_t)(end - begin) < strlen(NAME "=") || strncmp(begin, NAME "=", strlen(NAME "=")) != 0)
		return;
	reading->count++;
	free(reading->value);
	reading->value = strndup(begin + strlen(NAME "="), (size_t)(end - begin) - strlen(NAME "="));
}

/* `text` is changed. */
static struct reading read_again(char *text)
{
	struct reading reading = { 0 };
	char *rest = text;

	for (char *pair; (pair = strsep(&rest, ";\n"));)
		read_pair(&reading, pair);
	return reading;
}

static bool is_good(const char *value)
{
	return *value &&
	       strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(value);
}

/* A field for each line, and one of another name between them. */
static void make_head(const char *text, struct http_head *head)
{
	head->n_fields = 0;
	while (head->n_fields + 2 < HTTP_MAX_FIELDS) {
		size_t size = strcspn(text, "\n");

		head->fields[head->n_fields++] = (struct http_field){ { "cOOkie", 6 }, { text, size } };
		head->fields[head->n_fields++] =
			(struct http_field){ { "Cookies", 7 }, { NAME "=x", strlen(NAME "=x") } };
		if (!text[size])
			return;
		text += size + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head head;
	_cleanup_(freep) char *text = NULL, *copy = NULL;
	struct http_text value = { 0 };
	struct reading reading;
	size_t lines = 1;
	int r;

	/* A head has no NUL, and a bounded number of fields. */
	for (size_t i = 0; i < size; i++) {
		lines += data[i] == '\n';
		if (!data[i])
			return 0;
	}
	if (2 * lines + 2 > HTTP_MAX_FIELDS)
		return 0;
	text = strndup((const char *)data, size);
	copy = strdup(text);
	reading = read_again(copy);
	make_head(text, &head);
	r = cookie_find(&head, NAME, &value);
	if (reading.count == 0)
		check(r == -ENOENT);
	else if (reading.count > 1 || !is_good(reading.value))
		check(r == -EBADMSG);
	else
		check(r == 0 && value.size == strlen(reading.value) &&
		      memcmp(value.data, reading.value, value.size) == 0);
	free(reading.value);
	return 0;
}
