/* E-mail, sent by the built-in job `send_mail`: over SMTP_URL where set, else into the development mailbox MAIL_DIR. */
#ifndef PRONG_MAIL_H
#define PRONG_MAIL_H

#include <prong/context.h>

#pragma GCC visibility push(default)

struct prong_mail {
	const char *to;	     /* one address */
	const char *subject; /* one line, UTF-8 */
	const char *text;    /* plain text, UTF-8 */
};

/* Enqueues a mail. Suspends; returns as prong_enqueue(). */
int prong_send_mail(struct prong_ctx *ctx, const struct prong_mail *mail);

#pragma GCC visibility pop

#endif
