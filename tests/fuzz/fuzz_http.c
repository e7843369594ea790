/*
 * Fuzzes what stands between a client's bytes and a request: finding the head, parsing it, decoding chunks, splitting
 * the path. Besides memory errors, it checks what must hold for every input:
 *  - the verdict does not depend on how the bytes were split;
 *  - an accepted head that is written again from its parts parses to the same;
 *  - an accepted head holds nothing that another reader could frame differently.
 */
#include <stdint.h>

#include "common/buffer.h"
#include "server/http/parser.h"

#define MAX_BODY 4096

/* How the input is cut: a small generator, seeded from the input, so that a finding repeats. */
struct cuts {
	uint64_t state;
};

static size_t cuts_next(struct cuts *cuts, size_t left)
{
	cuts->state = cuts->state * 6364136223846793005u + 1442695040888963407u;
	return 1 + (size_t)(cuts->state >> 33) % (left < 40 ? left : 40);
}

struct found {
	int64_t size;
	size_t skip;
	struct http_refusal refusal;
};

/* A copy that fits exactly, so that reading beyond it is seen. */
static char *copy_exactly(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);

	check(copy);
	if (size)
		memcpy(copy, data, size);
	return copy;
}

static struct found find_whole(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *copy = copy_exactly(data, size);
	struct found found = { 0 };
	size_t scanned = 0;

	found.size = http_find_head(copy, size, &scanned, &found.skip, &found.refusal);
	return found;
}

static struct found find_split(const uint8_t *data, size_t size, struct cuts *cuts)
{
	struct found found = { 0 };
	size_t scanned = 0, fed = 0;

	do {
		fed += fed < size ? cuts_next(cuts, size - fed) : 0;
		char *copy = copy_exactly(data, fed);
		found.size = http_find_head(copy, fed, &scanned, &found.skip, &found.refusal);
		check(scanned <= fed && found.skip <= fed);
		free(copy);
	} while (found.size == 0 && fed < size);
	return found;
}

static bool text_equal(struct http_text a, struct http_text b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static size_t count_fields(const struct http_head *head, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < head->n_fields; i++)
		count += http_text_is(head->fields[i].name, name);
	return count;
}

static void add_text(struct buffer *buffer, struct http_text text)
{
	buffer_add(buffer, text.data, text.size);
}

static void write_again(const struct http_head *head, struct buffer *out)
{
	add_text(out, head->method_text);
	buffer_add_char(out, ' ');
	add_text(out, head->path);
	if (head->query.data) {
		buffer_add_char(out, '?');
		add_text(out, head->query);
	}
	buffer_add_format(out, " HTTP/1.%d\r\n", head->minor);
	for (size_t i = 0; i < head->n_fields; i++) {
		add_text(out, head->fields[i].name);
		buffer_add_literal(out, ": ");
		add_text(out, head->fields[i].value);
		buffer_add_literal(out, "\r\n");
	}
	buffer_add_literal(out, "\r\n");
}

static void check_same(const struct http_head *a, const struct http_head *b)
{
	check(a->method == b->method && a->is_head == b->is_head && text_equal(a->method_text, b->method_text));
	check(text_equal(a->path, b->path) && !a->query.data == !b->query.data && text_equal(a->query, b->query));
	check(a->minor == b->minor && a->keep_alive == b->keep_alive && a->expect_continue == b->expect_continue);
	check(a->framing == b->framing && a->content_length == b->content_length && a->n_fields == b->n_fields);
	for (size_t i = 0; i < a->n_fields; i++) {
		check(text_equal(a->fields[i].name, b->fields[i].name));
		check(text_equal(a->fields[i].value, b->fields[i].value));
	}
}

static void check_written_again(const struct http_head *head)
{
	static struct http_head again;
	struct http_refusal refusal;
	struct buffer text = { 0 };

	/* CONNECT host:port has no path to write; a field line just within its limit may grow by the space. */
	if (head->path.data[0] == '*' && head->method_text.data[0] == 'C')
		return;
	write_again(head, &text);
	check(http_parse_head(text.data, text.size, &again, &refusal) == 0);
	check_same(head, &again);
	buffer_free(&text);
}

/* RFC 9112 §6.3, read once more and differently: what may never be accepted. */
static void check_framing(const struct http_head *head)
{
	size_t lengths = count_fields(head, "content-length"), encodings = count_fields(head, "transfer-encoding");
	struct http_text length = http_field(head, "content-length", NULL);

	check(lengths + encodings <= 1);
	check((head->framing == HTTP_CHUNKED) == (encodings == 1));
	if (encodings)
		check(head->minor == 1 && http_text_is(http_field(head, "transfer-encoding", NULL), "chunked"));
	check((head->framing == HTTP_LENGTH) == (lengths == 1 && head->content_length > 0));
	check(!lengths || (length.size && strspn(length.data, "0123456789") == length.size));
	check(count_fields(head, "host") <= 1 && (head->minor == 0 || count_fields(head, "host") == 1));
	check(!head->expect_continue || head->framing != HTTP_NO_BODY);
}

static void check_text(struct http_text text, const char *data, size_t size)
{
	check(text.data >= data && text.data + text.size <= data + size);
	for (size_t i = 0; i < text.size; i++)
		check(text.data[i] != '\r' && text.data[i] != '\n' && text.data[i] != '\0');
}

static void fuzz_path(struct http_text path)
{
	_cleanup_(freep) char *space = malloc(path.size + 1);
	struct http_text segments[HTTP_MAX_SEGMENTS];
	size_t count;

	if (http_split_path(path, space, segments, &count) < 0)
		return;
	check(count <= HTTP_MAX_SEGMENTS);
	for (size_t i = 0; i < count; i++) {
		check(segments[i].data >= space && segments[i].data + segments[i].size <= space + path.size);
		check(strlen(segments[i].data) == segments[i].size);
		check(!memchr(segments[i].data, '/', segments[i].size));
		check(strcmp(segments[i].data, ".") != 0 && strcmp(segments[i].data, "..") != 0);
	}
}

/* Returns whether the head was accepted and a chunked body follows it. */
static bool fuzz_head(const uint8_t *data, size_t size)
{
	static struct http_head head;
	_cleanup_(freep) char *copy = copy_exactly(data, size);
	struct http_refusal refusal = { 0 };

	if (http_parse_head(copy, size, &head, &refusal) < 0) {
		check(refusal.status >= 400 && refusal.status <= 505 && refusal.detail);
		return false;
	}
	check_text(head.method_text, copy, size);
	for (size_t i = 0; i < head.n_fields; i++) {
		check_text(head.fields[i].name, copy, size);
		check_text(head.fields[i].value, copy, size);
	}
	check_framing(&head);
	check_written_again(&head);
	fuzz_path(head.path);
	return head.framing == HTTP_CHUNKED;
}

struct decoded {
	int result;
	int status;
	size_t consumed;
	struct buffer body;
};

static struct decoded decode(const uint8_t *data, size_t size, struct cuts *cuts)
{
	struct decoded decoded = { 0 };
	struct http_chunks chunks = { 0 };

	do {
		size_t left = size - decoded.consumed, piece = cuts && left ? cuts_next(cuts, left) : left;
		char *copy = copy_exactly(data + decoded.consumed, piece);
		struct http_refusal refusal = { 0 };
		size_t consumed = 0, body = 0;

		decoded.result = http_chunks_decode(&chunks, copy, piece, MAX_BODY, &consumed, &body, &refusal);
		check(consumed <= piece && body <= consumed && (decoded.result != 0 || consumed == piece));
		buffer_add(&decoded.body, copy, body);
		decoded.consumed += consumed;
		decoded.status = refusal.status;
		free(copy);
	} while (decoded.result == 0 && decoded.consumed < size);
	check(decoded.body.size <= MAX_BODY);
	return decoded;
}

static void fuzz_chunks(const uint8_t *data, size_t size, struct cuts *cuts)
{
	struct decoded whole = decode(data, size, NULL), split = decode(data, size, cuts);

	check(whole.result == split.result && whole.status == split.status);
	if (whole.result >= 0) {
		check(whole.consumed == split.consumed && whole.body.size == split.body.size);
		check(whole.body.size == 0 || memcmp(whole.body.data, split.body.data, whole.body.size) == 0);
	}
	buffer_free(&whole.body);
	buffer_free(&split.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cuts cuts = { size };
	struct found whole, split;

	for (size_t i = 0; i < size && i < 64; i++)
		cuts.state = cuts.state * 31 + data[i];

	whole = find_whole(data, size);
	split = find_split(data, size, &cuts);
	check(whole.size == split.size && whole.skip == split.skip);
	check(whole.refusal.status == split.refusal.status && whole.refusal.close == split.refusal.close);
	/* Without a whole head, the bytes still try the chunks. */
	if (whole.size <= 0) {
		fuzz_chunks(data, size, &cuts);
		return 0;
	}
	check(whole.skip + (size_t)whole.size <= size && whole.size <= HTTP_MAX_HEAD);
	data += whole.skip;
	size -= whole.skip;
	if (fuzz_head(data, (size_t)whole.size))
		fuzz_chunks(data + whole.size, size - (size_t)whole.size, &cuts);
	return 0;
}
