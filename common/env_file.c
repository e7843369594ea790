#include "common/env_file.h"

#define MAX_SIZE (1024 * 1024)

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool is_name_char(char c, bool first)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && c >= '0' && c <= '9');
}

static const char *skip_space(const char *text)
{
	while (is_space(*text))
		text++;
	return text;
}

/* Decodes "…" from behind its opening quote into `out`. Returns what follows the closing one, or NULL when there is
 * none. */
static const char *read_quoted(const char *text, char *out)
{
	for (; *text && *text != '"'; text++) {
		if (*text != '\\' || !text[1]) {
			*out++ = *text;
			continue;
		}
		switch (*++text) {
		case 'n':
			*out++ = '\n';
			break;
		case 't':
			*out++ = '\t';
			break;
		case '"':
		case '\\':
		case '$':
			*out++ = *text;
			break;
		default:
			*out++ = '\\';
			*out++ = *text;
		}
	}
	*out = '\0';
	return *text ? text + 1 : NULL;
}

/* Reads the value that follows '='. `out` has room for the whole text. NULL, or what is wrong. */
static const char *read_value(const char *text, char *out)
{
	const char *end;
	size_t size;

	text = skip_space(text);
	if (*text == '"' || *text == '\'') {
		if (*text == '"') {
			end = read_quoted(text + 1, out);
		} else {
			end = strchr(text + 1, '\'');
			if (end) {
				size = (size_t)(end - text - 1);
				memcpy(out, text + 1, size);
				out[size] = '\0';
				end++;
			}
		}
		if (!end)
			return "the quote is not closed";
		end = skip_space(end);
		return *end && *end != '#' ? "there is text behind the closing quote" : NULL;
	}

	for (size = 0; text[size] && !(text[size] == '#' && (!size || is_space(text[size - 1]))); size++)
		;
	while (size && is_space(text[size - 1]))
		size--;
	memcpy(out, text, size);
	out[size] = '\0';
	return NULL;
}

/* Reads one line into `file`; NULL, or what is wrong. */
static const char *read_line(struct env_file *file, const char *line)
{
	_cleanup_(freep) char *value = NULL;
	const char *name, *wrong;
	size_t size = 0;
	char *key;

	line = skip_space(line);
	if (!*line || *line == '#')
		return NULL;
	if (strncmp(line, "export", 6) == 0 && is_space(line[6]))
		line = skip_space(line + 6);

	name = line;
	while (is_name_char(name[size], size == 0))
		size++;
	line = skip_space(name + size);
	if (!size || *line != '=')
		return "a line is NAME=VALUE, with letters, digits and '_' in the name";

	value = allocate(strlen(line) + 1);
	wrong = read_value(line + 1, value);
	if (wrong)
		return wrong;

	file->items = reallocate(file->items, (file->count + 1) * sizeof(*file->items));
	key = allocate(size + 1);
	memcpy(key, name, size);
	file->items[file->count++] = (struct env_entry){ key, value };
	value = NULL;
	return NULL;
}

int env_file_read(const char *path, struct env_file *ret_file, struct buffer *mistakes)
{
	_cleanup_(freep) char *text = NULL;
	struct env_file file = { 0 };
	size_t size, number = 0;
	bool failed = false;
	int r;

	r = file_read(path, MAX_SIZE, &text, &size);
	if (r == -ENOENT) {
		*ret_file = file;
		return 0;
	}
	if (r < 0) {
		buffer_add_format(mistakes, "%s: it cannot be read: %s\n", path, strerror(-r));
		return -EINVAL;
	}
	if (strlen(text) != size) {
		buffer_add_format(mistakes, "%s: it is no text file: there is a NUL byte in it\n", path);
		return -EINVAL;
	}

	for (char *line = text, *next; line; line = next) {
		const char *wrong;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		number++;
		wrong = read_line(&file, line);
		if (wrong) {
			buffer_add_format(mistakes, "%s:%zu: %s\n", path, number, wrong);
			failed = true;
		}
	}
	if (failed) {
		env_file_free(&file);
		return -EINVAL;
	}
	*ret_file = file;
	return 0;
}

void env_file_free(struct env_file *file)
{
	for (size_t i = 0; i < file->count; i++) {
		free(file->items[i].name);
		free(file->items[i].value);
	}
	free(file->items);
	*file = (struct env_file){ 0 };
}

const char *env_file_get(const struct env_file *file, const char *name)
{
	for (size_t i = file->count; i > 0; i--)
		if (string_equal(file->items[i - 1].name, name))
			return file->items[i - 1].value;
	return NULL;
}
