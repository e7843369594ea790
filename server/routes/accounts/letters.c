#include "server/routes/accounts/letters.h"

#define OPEN_LINK(within)                              \
	" open this link within " within ":\n\n"       \
	"    {link}\n\n"                               \
	"A program takes this code instead:\n\n"       \
	"    {token}\n\n"                              \
	"Give neither to anybody: they are for you.\n" \
	"\n"
#define NOT_YOU "If this was not you, sign in and change your password now: that signs out everybody else"

const struct letter letters[] = {
	[MAIL_VERIFY] = {
		"verify", SECRET_VERIFY, "Confirm your address for {app}",
		"On {when} this address, {address}, was given for an account of {app} ({site}).\n\n"
		"To confirm that it is yours," OPEN_LINK("24 hours")
		"If this was not you, do nothing, and the address stays unconfirmed.\n",
	},
	[MAIL_ADDRESS_IN_USE] = {
		NULL, 0, "You have an account of {app} already",
		"On {when} somebody signed up for {app} ({site}) with your address, {address}. It has an account "
		"already, so none was made, and nothing was changed.\n\n"
		"If this was you, sign in as usual, or ask for a new password if you have forgotten yours. If it was "
		"not you, there is nothing to do.\n",
	},
	[MAIL_RESET] = {
		"reset-password", SECRET_RESET, "Choose a new password for {app}",
		"On {when} somebody asked for a new password for your account of {app} ({site}), {address}.\n\n"
		"To choose one," OPEN_LINK("30 minutes")
		"If this was not you, do nothing, and your password stays as it is.\n",
	},
	[MAIL_PASSWORD_CHANGED] = {
		NULL, 0, "Your password for {app} was changed",
		"On {when} the password of your account of {app} ({site}), {address}, was changed. All other "
		"sessions were signed out, and codes that were sent before are void. API keys still work, unless "
		"the address was not confirmed before: then those that there were are revoked.\n\n"
		"If this was not you, ask for a new password now, then look at your API keys and revoke those that "
		"you do not know.\n",
	},
	[MAIL_CHANGE_EMAIL] = {
		"change-email", SECRET_CHANGE_EMAIL, "Confirm your new address for {app}",
		"On {when} somebody asked for {address} to become the address of an account of {app} ({site}).\n\n"
		"To confirm it," OPEN_LINK("24 hours")
		"If this was not you, do nothing: it does not become the account's address.\n",
	},
	[MAIL_EMAIL_CHANGING] = {
		NULL, 0, "Another address was asked for your account of {app}",
		"On {when} it was asked that your account of {app} ({site}), {address}, get the address "
		"{about}. It does so once a link that was sent there is opened. Until then nothing changes.\n\n"
		NOT_YOU ", and the link is void.\n",
	},
	[MAIL_EMAIL_CHANGED] = {
		NULL, 0, "The address of your account of {app} was changed",
		"On {when} the address of your account of {app} ({site}) was changed to {about}. This is the last "
		"mail about the account that comes here.\n\n"
		"If this was not you, tell whoever runs {app} at once: you cannot ask for a new password any more.\n",
	},
	[MAIL_NEW_DEVICE] = {
		NULL, 0, "A new sign-in to your account of {app}",
		"On {when} your account of {app} ({site}), {address}, was signed in to from a device that it had "
		"not seen before:\n\n"
		"    {about}\n\n"
		"If this was you, there is nothing to do. " NOT_YOU ".\n",
	},
	[MAIL_DELETION] = {
		NULL, 0, "Your account of {app} will be deleted",
		"On {when} it was asked that your account of {app} ({site}), {address}, be deleted. All sessions "
		"were signed out, API keys no longer work, and on {until} it will be deleted with all that belongs "
		"to it.\n\n"
		"To keep it, sign in before then. If this was not you, do so now and change your password.\n",
	},
	[MAIL_DISABLED] = {
		NULL, 0, "Your account of {app} was disabled",
		"On {when} your account of {app} ({site}), {address}, was disabled by whoever runs it. All sessions "
		"were signed out, and API keys no longer work.\n\n"
		"If you think that this is a mistake, write to them.\n",
	},
	[MAIL_API_KEY_CREATED] = {
		NULL, 0, "A new API key of your account of {app}",
		"On {when} an API key was made for your account of {app} ({site}), {address}: {about}.\n\n"
		"If this was not you, sign in, revoke the key, and change your password.\n",
	},
};

const struct letter taken_letter = {
	NULL,
	0,
	"You have an account of {app} already",
	"On {when} somebody asked for your address, {address}, to become that of another account of {app} "
	"({site}). It is yours, so nothing was changed.\n\n"
	"If this was you, use another address there. If it was not you, there is nothing to do.\n",
};

const struct letter deleted_letter = {
	NULL,
	0,
	"Your account of {app} was deleted",
	"On {when} your account of {app} ({site}), {address}, was deleted with all that belongs to it.\n\n"
	"If you did not ask for this, write to whoever runs {app}.\n",
};
