#include "server/cli/cli.h"

#include "common/utf8.h"

enum cell_kind { CELL_NONE, CELL_TEXT, CELL_INTEGER, CELL_BOOL, CELL_JSON };

struct cell {
	enum cell_kind kind;
	char *text;
};

struct table {
	const char **columns;
	size_t n_columns, n_cells;
	struct cell *cells;
};

struct table *table_new(const char *const columns[])
{
	struct table *table = allocate(sizeof(*table));

	while (columns[table->n_columns])
		table->n_columns++;
	table->columns = allocate_array(table->n_columns, sizeof(*columns));
	memcpy(table->columns, columns, table->n_columns * sizeof(*columns));
	return table;
}

void table_freep(struct table **table)
{
	if (!*table)
		return;
	for (size_t i = 0; i < (*table)->n_cells; i++)
		free((*table)->cells[i].text);
	free((*table)->cells);
	free((*table)->columns);
	free(*table);
}

static void add(struct table *table, enum cell_kind kind, char *text)
{
	table->cells = reallocate(table->cells, (table->n_cells + 1) * sizeof(*table->cells));
	table->cells[table->n_cells++] = (struct cell){ text ? kind : CELL_NONE, text };
}

void table_add(struct table *table, const char *text)
{
	add(table, CELL_TEXT, text ? duplicate(text) : NULL);
}

void table_add_integer(struct table *table, int64_t value)
{
	add(table, CELL_INTEGER, format_text("%lld", (long long)value));
}

void table_add_bool(struct table *table, bool value)
{
	add(table, CELL_BOOL, duplicate(value ? "yes" : "no"));
}

void table_add_json(struct table *table, const char *json)
{
	add(table, CELL_JSON, json ? duplicate(json) : NULL);
}

void table_add_time(struct table *table, prong_time time)
{
	char text[PRONG_TIME_TEXT_SIZE];

	table_add(table, time.us ? prong_time_format(time, text) : NULL);
}

void output_add_text(struct buffer *out, const char *text)
{
	const unsigned char *next = (const unsigned char *)text;

	for (size_t left = strlen(text), length; left; left -= length, next += length) {
		length = utf8_sequence(next, left);
		if (!length)
			buffer_add_literal(out, "\uFFFD");
		else if (utf8_is_control(next, length))
			buffer_add_char(out, ' ');
		else
			buffer_add(out, next, length);
		length += !length;
	}
}

/* In code points, as it is shown. */
static size_t width(const char *text)
{
	struct buffer shown = { 0 };
	int64_t length;

	output_add_text(&shown, text);
	length = utf8_length(shown.data, shown.size);
	buffer_free(&shown);
	return (size_t)length;
}

static void write_row(const struct table *table, const size_t *widths, char *const *texts, struct buffer *out)
{
	for (size_t i = 0; i < table->n_columns; i++) {
		const char *text = texts[i] ? texts[i] : "";

		output_add_text(out, text);
		if (i + 1 < table->n_columns)
			for (size_t n = width(text); n < widths[i] + 2; n++)
				buffer_add_char(out, ' ');
	}
	while (out->size && out->data[out->size - 1] == ' ')
		out->size--;
	buffer_add_char(out, '\n');
}

static void write_head(const struct table *table, const size_t *widths, struct buffer *out)
{
	size_t start = out->size;

	write_row(table, widths, (char *const *)table->columns, out);
	for (size_t i = start; i < out->size; i++)
		if (out->data[i] >= 'a' && out->data[i] <= 'z')
			out->data[i] += 'A' - 'a';
}

static void write_table(const struct table *table, struct buffer *out)
{
	_cleanup_(freep) size_t *widths = allocate_array(table->n_columns, sizeof(*widths));
	_cleanup_(freep) char **texts = allocate_array(table->n_columns, sizeof(*texts));

	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = width(table->columns[i]);
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t size = table->cells[i].text ? width(table->cells[i].text) : 0;

		if (size > widths[i % table->n_columns])
			widths[i % table->n_columns] = size;
	}

	write_head(table, widths, out);
	for (size_t row = 0; row < table->n_cells; row += table->n_columns) {
		for (size_t i = 0; i < table->n_columns; i++)
			texts[i] = table->cells[row + i].text;
		write_row(table, widths, texts, out);
	}
}

static void write_json_cell(const struct cell *cell, struct buffer *out)
{
	switch (cell->kind) {
	case CELL_NONE:
		buffer_add_literal(out, "null");
		break;
	case CELL_TEXT:
		buffer_add_json_string(out, cell->text, strlen(cell->text));
		break;
	case CELL_BOOL:
		buffer_add_string(out, string_equal(cell->text, "yes") ? "true" : "false");
		break;
	case CELL_INTEGER:
	case CELL_JSON:
		buffer_add_string(out, cell->text);
		break;
	}
}

static void write_json(const struct table *table, struct buffer *out)
{
	buffer_add_char(out, '[');
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t column = i % table->n_columns;
		const char *name = table->columns[column];

		buffer_add_string(out, column ? ", " : i ? ",\n {" : "\n {");
		buffer_add_json_string(out, name, strlen(name));
		buffer_add_literal(out, ": ");
		write_json_cell(&table->cells[i], out);
		if (column + 1 == table->n_columns)
			buffer_add_char(out, '}');
	}
	buffer_add_string(out, table->n_cells ? "\n]\n" : "]\n");
}

void table_write(const struct table *table, bool json, const char *empty, struct buffer *out)
{
	check(table->n_cells % table->n_columns == 0);
	if (json)
		write_json(table, out);
	else if (table->n_cells)
		write_table(table, out);
	else
		buffer_add_format(out, "%s\n", empty);
}

int table_print(const struct table *table, bool json, const char *empty)
{
	struct buffer out = { 0 };
	bool written;

	table_write(table, json, empty, &out);
	written = fwrite(out.data, 1, out.size, stdout) == out.size && fflush(stdout) == 0;
	buffer_free(&out);
	return written ? STATUS_OK : STATUS_FAILURE;
}
