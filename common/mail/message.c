/* The text of a message: RFC 5322 header, RFC 2047 words, RFC 2045 quoted-printable. */
#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "common/basics.h"
#include "common/mail/mail.h"

#define LINE 76	      /* of quoted-printable, without CRLF */
#define WORD_BYTES 42 /* of text in an encoded word: 56 characters of base64, under the 75 allowed */

/* Text that may stand in a header as it is. */
static bool is_plain(const char *text)
{
	if (strstr(text, "=?"))
		return false;
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* The longest beginning of at most WORD_BYTES that does not split a character. */
static size_t word_length(const char *text)
{
	size_t length = strnlen(text, WORD_BYTES + 1);

	if (length <= WORD_BYTES)
		return length;
	length = WORD_BYTES;
	while (length > 1 && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	return length;
}

static void write_words(const char *text, struct buffer *out)
{
	char encoded[sodium_base64_ENCODED_LEN(WORD_BYTES, sodium_base64_VARIANT_ORIGINAL)];

	while (*text) {
		size_t length = word_length(text);

		sodium_bin2base64(encoded, sizeof(encoded), (const unsigned char *)text, length,
				  sodium_base64_VARIANT_ORIGINAL);
		buffer_add_format(out, "=?UTF-8?B?%s?=", encoded);
		text += length;
		if (*text)
			buffer_add_literal(out, "\r\n ");
	}
}

static void write_date(prong_time date, struct buffer *out)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = (time_t)(date.us / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	buffer_add_format(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
			  months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

char *mail_address(const char *from)
{
	const char *open = strrchr(from, '<'), *close = open ? strchr(open, '>') : NULL;

	if (!close)
		return duplicate(from);
	return format_text("%.*s", (int)(close - open - 1), open + 1);
}

/* `Name <address>` with a name that is quoted, or encoded where it must be. */
static void write_from(const char *from, const char *address, struct buffer *out)
{
	const char *open = strrchr(from, '<');
	size_t length = open ? (size_t)(open - from) : 0;
	_cleanup_(freep) char *name = NULL;

	while (length > 0 && from[length - 1] == ' ')
		length--;
	name = format_text("%.*s", (int)length, from);
	buffer_add_literal(out, "From: ");
	if (length > 0 && (is_plain(name) && (name[0] == '"' || !strpbrk(name, "()<>[]:;@\\,.\""))))
		buffer_add_format(out, "%s ", name);
	else if (length > 0) {
		write_words(name, out);
		buffer_add_char(out, ' ');
	}
	buffer_add_format(out, "<%s>\r\n", address);
}

/* Room is kept for the '=' of a soft line break. */
static void write_quoted(struct buffer *out, size_t *column, const char *text, size_t length)
{
	if (*column + length > LINE - 1) {
		buffer_add_literal(out, "=\r\n");
		*column = 0;
	}
	buffer_add(out, text, length);
	*column += length;
}

static void write_quoted_printable(const char *text, struct buffer *out)
{
	size_t column = 0;
	char escape[4];

	for (; *text; text++) {
		bool line_end = text[0] == '\n' || (text[0] == '\r' && text[1] == '\n');
		bool ends_line = text[1] == '\0' || text[1] == '\n' || text[1] == '\r';

		if (line_end) {
			text += text[0] == '\r';
			buffer_add_literal(out, "\r\n");
			column = 0;
		} else if ((*text > ' ' && *text <= '~' && *text != '=') ||
			   ((*text == ' ' || *text == '\t') && !ends_line)) {
			write_quoted(out, &column, text, 1);
		} else {
			snprintf(escape, sizeof(escape), "=%02X", (unsigned char)*text);
			write_quoted(out, &column, escape, 3);
		}
	}
	if (column > 0)
		buffer_add_literal(out, "\r\n");
}

void mail_write(const struct mail *mail, const char *from, const char *id, prong_time date, struct buffer *out)
{
	_cleanup_(freep) char *address = mail_address(from);
	const char *at = strrchr(address, '@');

	check(!mail_mistake(mail));
	write_date(date, out);
	buffer_add_format(out, "Message-ID: <%s@%s>\r\n", id, at ? at + 1 : "localhost");
	write_from(from, address, out);
	buffer_add_format(out, "To: <%s>\r\n", mail->to);
	buffer_add_literal(out, "Subject: ");
	if (is_plain(mail->subject))
		buffer_add_string(out, mail->subject);
	else
		write_words(mail->subject, out);
	buffer_add_literal(out, "\r\nMIME-Version: 1.0\r\n"
				"Content-Type: text/plain; charset=utf-8\r\n"
				"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
	write_quoted_printable(mail->text, out);
}
