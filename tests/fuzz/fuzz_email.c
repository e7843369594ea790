/*
 * Fuzzes the form in which addresses are compared. Besides memory errors, it checks what must hold for every text:
 *  - an address that the schema takes is normalised, unless it is too long, and is an address still;
 *  - the form is ASCII in lower case, has the text's length, and is its own form;
 *  - the case of letters changes nothing, and nothing but it is changed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

#include "common/basics.h"
#include "common/schema/format.h"
#include "server/routes/accounts/accounts.h"

static char *in_capitals(const char *text)
{
	char *capitals = duplicate(text);

	for (char *c = capitals; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	return capitals;
}

static void check_form(const char *text, const char *form)
{
	_cleanup_(freep) char *capitals = in_capitals(text);
	char again[EMAIL_SIZE];

	check(strlen(form) == strlen(text) && strcasecmp(form, text) == 0);
	for (const char *c = form; *c; c++)
		check(*c > ' ' && *c <= '~' && !(*c >= 'A' && *c <= 'Z'));
	check(email_normalise(form, again) == 0 && string_equal(form, again));
	check(email_normalise(capitals, again) == 0 && string_equal(form, again));
	check(format_is_email(form) == format_is_email(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = allocate(size + 1);
	char form[EMAIL_SIZE];
	const char *reason;

	memcpy(text, data, size);
	if (email_normalise(text, form) == 0)
		check_form(text, form);
	else
		check(!format_is_email(text));
	name_check(text, &reason);
	return 0;
}
