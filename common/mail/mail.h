/*
 * Mail from within: the record that the job `send_mail` carries, and its delivery: by libcurl over SMTP where SMTP_URL
 * is set, else as one .eml file (RFC 5322) in the development mailbox, written under another name and renamed when
 * whole.
 */
#ifndef MAIL_H
#define MAIL_H

#include <prong/mail.h>
#include <prong/schema.h>

#include "common/buffer.h"

struct mail {
	const char *to, *subject, *text;
};

/* clang-format off */
PRONG_SCHEMA(mail,
	PRONG_FIELD(mail, to, .required = true, .format = PRONG_EMAIL),
	PRONG_FIELD(mail, subject, .required = true, .min_length = 1, .max_length = 255),
	PRONG_FIELD(mail, text, .required = true, .max_length = 65536));
/* clang-format on */

#define MAIL_JOB "send_mail"

/* What a schema cannot say: no control character in the header. Returns a sentence about what is wrong, or NULL. */
const char *mail_mistake(const struct mail *mail);

/*
 * Appends the message (RFC 5322, MIME, CRLF). `from` as MAIL_FROM: an address, or a name and an address in <>. Its
 * Message-ID is made of `id`, so that a mail sent twice can be recognised.
 */
void mail_write(const struct mail *mail, const char *from, const char *id, prong_time date, struct buffer *out);

/* The bare address of a MAIL_FROM, malloc'ed. */
char *mail_address(const char *from);

/*
 * Delivers as the settings say. Suspends. `date` and `id` name the message and the mailbox's file: the same twice is
 * one file. 0, or negative with the problem recorded in the context.
 */
int mail_deliver(struct prong_ctx *ctx, const struct mail *mail, const char *id, prong_time date);

#endif
