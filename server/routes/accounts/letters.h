/*
 * What the module's mails say: texts with names in braces. {app} and {site} are the application's name and PUBLIC_URL,
 * {address} the account's, {when} the request's time, {about} as given to account_mail(), {until} the day of deletion,
 * {link} and {token} the one-time secret's. A paragraph is one line.
 */
#ifndef LETTERS_H
#define LETTERS_H

#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/secrets.h"

struct letter {
	const char *page; /* of ACCOUNT_URL, where the link leads; NULL: it brings no secret */
	enum secret_purpose purpose;
	const char *subject, *text;
};

extern const struct letter letters[];	   /* by enum account_mail */
extern const struct letter taken_letter;   /* instead of MAIL_CHANGE_EMAIL, to whom the address belongs */
extern const struct letter deleted_letter; /* MAIL_DELETION, once it is done */

#endif
