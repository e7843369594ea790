#include "common/postgres/migrate_files.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/postgres/migrate.h"
#include "common/postgres/script.h"
#include "common/utf8.h"

#define MAX_FILE (16 << 20)
#define MAX_NUMBER 9999
#define NO_TRANSACTION "-- prong: no-transaction"

bool migration_is_without_transaction(const char *sql)
{
	size_t length = strlen(NO_TRANSACTION);

	if (strncmp(sql, NO_TRANSACTION, length) != 0)
		return false;
	return sql[length + strspn(sql + length, " \t\r")] == '\n';
}

/* ---- names ---- */

struct file_name {
	int number;
	const char *name; /* within the file's */
	int name_length;
	bool up;
};

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && string_equal(text + length - end_length, end);
}

/* NNNN_name.up.sql or NNNN_name.down.sql; the name of lower-case letters, digits and '_'. */
static bool parse_file_name(const char *text, struct file_name *ret_name)
{
	size_t digits = strspn(text, "0123456789");
	size_t length;

	if (digits != 4 || text[4] != '_')
		return false;
	length = strspn(text + 5, "abcdefghijklmnopqrstuvwxyz0123456789_");
	if (length == 0 ||
	    (!string_equal(text + 5 + length, ".up.sql") && !string_equal(text + 5 + length, ".down.sql")))
		return false;
	*ret_name = (struct file_name){
		.number = atoi(text),
		.name = text + 5,
		.name_length = (int)length,
		.up = ends_with(text, ".up.sql"),
	};
	return true;
}

/* ---- texts ---- */

static size_t line_of(const char *text, size_t position)
{
	size_t line = 1;

	for (size_t i = 0; i < position; i++)
		line += text[i] == '\n';
	return line;
}

static bool ends_transaction(const struct script_statement *statement)
{
	static const char *const words[] = { "begin", "start", "commit", "end", "rollback", "abort" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (string_equal(statement->words[0], words[i]))
			return true;
	return string_equal(statement->words[0], "prepare") && string_equal(statement->words[1], "transaction");
}

static void check_text(const char *file, const char *sql, struct buffer *mistakes)
{
	struct script_statement statement;
	size_t position = 0;

	if (migration_is_without_transaction(sql))
		return;
	while (script_next(sql, &position, &statement))
		if (ends_transaction(&statement))
			buffer_add_format(
				mistakes,
				"%s:%zu: %s: a migration already runs in a transaction of its own. Remove this "
				"statement, or begin the file with \"" NO_TRANSACTION "\"\n",
				file, line_of(sql, statement.start), statement.words[0]);
}

static bool has_statement(const char *sql)
{
	struct script_statement statement;
	size_t position = 0;

	return script_next(sql, &position, &statement);
}

/* ---- gathering ---- */

struct gathering {
	struct arena *arena;
	struct buffer *mistakes;
	size_t count, capacity;
	struct migration *items; /* malloc'ed while it grows */
};

/* The migration of that number in the sequence, made if need be. */
static struct migration *gather(struct gathering *gathering, const char *sequence, int number)
{
	for (size_t i = 0; i < gathering->count; i++)
		if (gathering->items[i].number == number && string_equal(gathering->items[i].sequence, sequence))
			return &gathering->items[i];
	if (gathering->count == gathering->capacity) {
		gathering->capacity = 2 * gathering->capacity + 8;
		gathering->items = reallocate(gathering->items, gathering->capacity * sizeof(*gathering->items));
	}
	gathering->items[gathering->count] = (struct migration){ .sequence = sequence, .number = number };
	return &gathering->items[gathering->count++];
}

static void add_text(struct gathering *gathering, struct migration *migration, bool up, const char *file,
		     const char *sql)
{
	check_text(file, sql, gathering->mistakes);
	if (up) {
		migration->up = sql;
		migration->up_file = file;
		if (!has_statement(sql))
			buffer_add_format(gathering->mistakes, "%s: holds no statement. Write it, or delete the file\n",
					  file);
	} else if (has_statement(sql)) {
		migration->down = sql;
		migration->down_file = file;
	}
}

static void gather_module(struct gathering *gathering, const struct prong_module *module)
{
	const struct prong_migration *given = module->migrations;

	for (; given && given->number; given++) {
		struct migration *migration = gather(gathering, module->name, given->number);
		const char *path =
			arena_format(gathering->arena, "%s/%04d_%s", module->name, given->number, given->name);

		if (migration->name)
			buffer_add_format(gathering->mistakes, "%s: its number is already that of %s\n", path,
					  migration->name);
		migration->name = given->name;
		add_text(gathering, migration, true, arena_format(gathering->arena, "%s.up.sql", path), given->up);
		if (given->down)
			add_text(gathering, migration, false, arena_format(gathering->arena, "%s.down.sql", path),
				 given->down);
	}
}

static void gather_file(struct gathering *gathering, const char *path, const struct file_name *name)
{
	char *text = arena_strndup(gathering->arena, name->name, (size_t)name->name_length);
	_cleanup_(freep) char *sql = NULL;
	struct migration *migration;
	size_t size;
	int r = file_read(path, MAX_FILE, &sql, &size);

	if (r < 0) {
		buffer_add_format(gathering->mistakes, "%s: cannot be read: %s\n", path, strerror(-r));
		return;
	}
	if (strlen(sql) != size || utf8_length(sql, size) < 0) {
		buffer_add_format(gathering->mistakes, "%s: is no UTF-8 text\n", path);
		return;
	}
	migration = gather(gathering, "app", name->number);
	if (migration->name && !string_equal(migration->name, text)) {
		buffer_add_format(
			gathering->mistakes,
			"%s: its number is already that of %04d_%s. Give the newer one the next free number\n", path,
			name->number, migration->name);
		return;
	}
	migration->name = text;
	add_text(gathering, migration, name->up, arena_strdup(gathering->arena, path),
		 arena_strdup(gathering->arena, sql));
}

/* Folders beside the files are nobody's mistake: modules keep their migrations in some. */
static bool is_folder(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static void gather_folder(struct gathering *gathering, const char *folder)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, NULL, alphasort);

	if (count < 0) {
		if (errno != ENOENT)
			buffer_add_format(gathering->mistakes, "%s: cannot be read: %m\n", folder);
		return;
	}
	for (int i = 0; i < count; i++) {
		const char *path = arena_format(gathering->arena, "%s/%s", folder, entries[i]->d_name);
		struct file_name name;

		if (parse_file_name(entries[i]->d_name, &name))
			gather_file(gathering, path, &name);
		else if (entries[i]->d_name[0] != '.' && !ends_with(entries[i]->d_name, ".md") && !is_folder(path))
			buffer_add_format(gathering->mistakes,
					  "%s: is no migration. Their names are NNNN_name.up.sql and "
					  "NNNN_name.down.sql, the name of lower-case letters, digits and '_'\n",
					  path);
		free(entries[i]);
	}
	free(entries);
}

/* Within each sequence the numbers run from 1 without a gap. */
static void check_numbers(const struct gathering *gathering, size_t first)
{
	for (size_t i = first; i < gathering->count; i++) {
		const struct migration *migration = &gathering->items[i];
		int expected = (int)(i - first) + 1;

		if (migration->name && !migration->up)
			buffer_add_format(gathering->mistakes, "%s: there is no %04d_%s.up.sql to go with it\n",
					  migration->down_file ? migration->down_file : migration->name,
					  migration->number, migration->name);
		if (migration->number == expected)
			continue;
		buffer_add_format(gathering->mistakes,
				  "%s/%04d_%s: the number before it is missing: expected %04d. Number migrations from "
				  "0001 without a gap\n",
				  migration->sequence, migration->number, migration->name, expected);
		return;
	}
}

static int compare_numbers(const void *a, const void *b)
{
	const struct migration *left = a, *right = b;

	return (left->number > right->number) - (left->number < right->number);
}

static void end_sequence(struct gathering *gathering, size_t first)
{
	if (gathering->count > first)
		qsort(gathering->items + first, gathering->count - first, sizeof(*gathering->items), compare_numbers);
	check_numbers(gathering, first);
}

int migrations_load(const struct registry *registry, const char *folder, struct arena *arena,
		    struct migrations *ret_migrations, struct buffer *mistakes)
{
	struct gathering gathering = { .arena = arena, .mistakes = mistakes };
	size_t before = mistakes->size, first = 0;
	struct migration *items;

	for (size_t i = 0; i < registry->n_modules; i++, first = gathering.count) {
		gather_module(&gathering, registry->modules[i]);
		end_sequence(&gathering, first);
	}
	gather_folder(&gathering, folder);
	end_sequence(&gathering, first);
	items = arena_alloc(arena, gathering.count * sizeof(*items));
	if (gathering.count)
		memcpy(items, gathering.items, gathering.count * sizeof(*items));
	free(gathering.items);
	if (mistakes->size > before)
		return -EINVAL;
	*ret_migrations = (struct migrations){ .count = gathering.count, .items = items };
	return 0;
}

/* ---- new ---- */

/* "Add notes-table" becomes add_notes_table; NULL where something else than letters, digits and separators is in it. */
static char *clean_name(const char *name)
{
	char *clean = duplicate(name);

	for (char *at = clean; *at; at++) {
		if (*at == ' ' || *at == '-')
			*at = '_';
		*at = (char)tolower((unsigned char)*at);
		if (!isalnum((unsigned char)*at) && *at != '_') {
			free(clean);
			return NULL;
		}
	}
	if (*clean && strlen(clean) <= 100)
		return clean;
	free(clean);
	return NULL;
}

/* The highest number in the folder; 0 where there is none. */
static int last_number(const char *folder)
{
	struct dirent *entry;
	DIR *files = opendir(folder);
	struct file_name name;
	int last = 0;

	if (!files)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(files)))
		if (parse_file_name(entry->d_name, &name) && name.number > last)
			last = name.number;
	closedir(files);
	return last;
}

static int write_file(const char *path, const char *text, struct buffer *mistakes)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (written == (ssize_t)strlen(text))
		return 0;
	buffer_add_format(mistakes, "%s: cannot be written: %m\n", path);
	return -EIO;
}

int migrations_new_files(const char *folder, const char *name, char **ret_up, char **ret_down, struct buffer *mistakes)
{
	_cleanup_(freep) char *clean = clean_name(name), *up = NULL, *down = NULL, *up_text = NULL, *down_text = NULL;
	int r, number;

	if (!clean) {
		buffer_add_format(mistakes,
				  "\"%s\" cannot name a migration: use letters, digits and '_', such as "
				  "add_notes\n",
				  name);
		return -EINVAL;
	}
	number = last_number(folder) + 1;
	if (number < 1 || number > MAX_NUMBER) {
		buffer_add_format(mistakes, "%s: %s\n", folder,
				  number < 1 ? strerror(1 - number) : "all numbers up to 9999 are taken");
		return -EINVAL;
	}
	up = format_text("%s/%04d_%s.up.sql", folder, number, clean);
	down = format_text("%s/%04d_%s.down.sql", folder, number, clean);
	up_text = format_text("-- %s: plain SQL, run in one transaction. For what cannot be in one (CREATE INDEX "
			      "CONCURRENTLY),\n-- make the file's first line: " NO_TRANSACTION "\n\n",
			      clean);
	down_text = format_text("-- Undoes %04d_%s. While this file holds no statement, it cannot be undone.\n\n",
				number, clean);
	r = folder_make(folder, 0777);
	if (r < 0)
		buffer_add_format(mistakes, "%s: cannot be made: %s\n", folder, strerror(-r));
	else
		r = write_file(up, up_text, mistakes);
	if (r == 0)
		r = write_file(down, down_text, mistakes);
	if (r < 0)
		return r;
	*ret_up = up;
	*ret_down = down;
	up = down = NULL;
	return 0;
}
