/*
 * Mail from within: the record that the job `send_mail` carries, and its delivery: by libcurl over SMTP where SMTP_URL is
 * set, else as one .eml file (RFC 5322) in the development mailbox, written under another name and renamed when whole.
 */
#ifndef MAIL_H
#define MAIL_H

#include <prong/mail.h>
#include <prong/schema.h>

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

#endif
