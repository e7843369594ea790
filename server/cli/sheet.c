#include "server/cli/cli.h"

static void add_name(struct sheet *sheet, const char *name)
{
	if (sheet->json)
		buffer_add_format(&sheet->out, "%s\n  \"%s\": ", sheet->out.size ? "," : "{", name);
	else
		buffer_add_format(&sheet->out, "%-*s  ", sheet->width, name);
}

void sheet_add_json(struct sheet *sheet, const char *name, const char *json)
{
	if (!json && !sheet->json)
		return;
	add_name(sheet, name);
	if (sheet->json) {
		buffer_add_string(&sheet->out, json ? json : "null");
	} else {
		output_add_text(&sheet->out, json);
		buffer_add_char(&sheet->out, '\n');
	}
}

void sheet_add_text(struct sheet *sheet, const char *name, const char *text)
{
	if (!text || !*text) {
		sheet_add_json(sheet, name, NULL);
	} else if (sheet->json) {
		add_name(sheet, name);
		buffer_add_json_string(&sheet->out, text, strlen(text));
	} else {
		sheet_add_json(sheet, name, text);
	}
}

void sheet_add_integer(struct sheet *sheet, const char *name, int64_t value)
{
	_cleanup_(freep) char *text = format_text("%lld", (long long)value);

	sheet_add_json(sheet, name, text);
}

void sheet_add_time(struct sheet *sheet, const char *name, prong_time time)
{
	char text[PRONG_TIME_TEXT_SIZE];

	sheet_add_text(sheet, name, time.us ? prong_time_format(time, text) : NULL);
}

int sheet_print(struct sheet *sheet, const struct invocation *invocation)
{
	if (sheet->json)
		buffer_add_literal(&sheet->out, "\n}\n");
	fwrite(sheet->out.data, 1, sheet->out.size, stdout);
	buffer_free(&sheet->out);
	return output_end(invocation);
}
