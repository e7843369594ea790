#include "server/routes/accounts/mails.h"

#include <time.h>

#include "common/basics.h"
#include "common/context.h"
#include "common/jobs/job_queue.h"
#include "common/mail/mail.h"
#include "common/utf8.h"
#include "server/routes/accounts/accounts.h"
#include "server/routes/accounts/letters.h"

#define MAX_ABOUT 200 /* bytes */

/* ---- the job's payload ---- */

struct account_mail_order {
	enum account_mail mail;
	prong_opt_uuid account_id;
	const char *address;
	const char *about;
};

/* clang-format off */
PRONG_SCHEMA(account_mail_order,
	PRONG_FIELD(account_mail_order, mail, .required = true,
		    .values = PRONG_VALUES("verify", "address_in_use", "reset", "password_changed", "change_email",
					   "email_changing", "email_changed", "new_device", "deletion", "disabled",
					   "api_key_created")),
	PRONG_FIELD(account_mail_order, account_id, .summary = "absent: the account is looked up by its address"),
	PRONG_FIELD(account_mail_order, address, .format = PRONG_EMAIL),
	PRONG_FIELD(account_mail_order, about));
/* clang-format on */

/* One line, not too long, that shows as what it is: it may come from a client. */
static char *one_line(struct prong_ctx *ctx, const char *text)
{
	char *line = prong_alloc(ctx, MAX_ABOUT + 1);
	size_t size = strlen(text), out = 0;

	for (size_t at = 0; at < size;) {
		const unsigned char *sequence = (const unsigned char *)text + at;
		size_t length = utf8_sequence(sequence, size - at);
		bool shown = length > 0 && !utf8_is_control(sequence, length);
		size_t room = shown ? length : 1;

		if (out + room > MAX_ABOUT)
			break;
		memcpy(line + out, shown ? (const char *)sequence : length > 0 ? " " : "?", room);
		out += room;
		at += length > 0 ? length : 1;
	}
	return line;
}

int account_mail(struct prong_ctx *ctx, enum account_mail mail, prong_uuid account_id, const char *address,
		 const char *about)
{
	const struct account_mail_order order = {
		.mail = mail,
		.account_id = { !uuid_is_zero(account_id), account_id },
		.address = address,
		.about = about ? one_line(ctx, about) : NULL,
	};

	check(order.account_id.set || address);
	if (!ctx->runtime->jobs)
		return 0;
	return prong_enqueue(ctx, account_mail, &order);
}

/* ---- whom it concerns ---- */

struct addressee {
	prong_uuid id;
	const char *email;
	bool is_verified, is_disabled;
	prong_opt_time delete_after;
};

PRONG_SCHEMA(addressee, PRONG_FIELD(addressee, id), PRONG_FIELD(addressee, email), PRONG_FIELD(addressee, is_verified),
	     PRONG_FIELD(addressee, is_disabled), PRONG_FIELD(addressee, delete_after));

#define SELECT_ADDRESSEE                                                  \
	"SELECT id, email, email_verified_at IS NOT NULL AS is_verified," \
	" disabled_at IS NOT NULL AS is_disabled, delete_after FROM prong_accounts"

/* NULL: there is none. */
static int find_by_address(struct prong_ctx *ctx, const char *address, struct addressee **ret_addressee)
{
	char normalised[EMAIL_SIZE];
	int r = -ENOENT;

	*ret_addressee = NULL;
	if (email_normalise(address, normalised) == 0)
		r = prong_query_one(ctx, addressee, ret_addressee, SELECT_ADDRESSEE " WHERE email_normalised = $1",
				    normalised);
	return r == -ENOENT ? 0 : r;
}

static int find(struct prong_ctx *ctx, const struct account_mail_order *order, struct addressee **ret_addressee)
{
	int r;

	if (!order->account_id.set)
		return find_by_address(ctx, order->address, ret_addressee);
	*ret_addressee = NULL;
	r = prong_query_one(ctx, addressee, ret_addressee, SELECT_ADDRESSEE " WHERE id = $1", order->account_id);
	return r == -ENOENT ? 0 : r;
}

/*
 * To an address that nobody has proven goes what proves it, what is limited by address (abuse.c), and what whoever runs
 * this does (a changed address is told to the former one, if that was proven, by who changes it): else whoever signs up
 * with a stranger's address could have us write to them without end, and choose a part of the words.
 */
static bool is_for_proven(enum account_mail mail)
{
	return mail != MAIL_VERIFY && mail != MAIL_RESET && mail != MAIL_ADDRESS_IN_USE && mail != MAIL_CHANGE_EMAIL &&
	       mail != MAIL_EMAIL_CHANGED && mail != MAIL_DISABLED;
}

/* Whether what the mail says is still so, and for its account to hear. */
static bool is_true(enum account_mail mail, const struct addressee *addressee)
{
	if (addressee->is_disabled || mail == MAIL_DISABLED)
		return addressee->is_disabled && mail == MAIL_DISABLED;
	if (mail == MAIL_VERIFY)
		return !addressee->is_verified;
	if (!addressee->is_verified && is_for_proven(mail))
		return false;
	return mail != MAIL_DELETION || addressee->delete_after.set;
}

/* ---- writing it ---- */

struct writing {
	struct prong_ctx *ctx;
	const struct account_mail_order *order;
	const struct letter *letter;
	const char *to, *address;
	prong_opt_time delete_after;
	char token[SECRET_TEXT_SIZE];
};

static void add_minute(struct buffer *out, prong_time time)
{
	time_t seconds = (time_t)(time.us / PRONG_SECONDS(1));
	char text[sizeof("2026-01-31 23:59 UTC")];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm);
	buffer_add_string(out, text);
}

static void add_named(const struct writing *writing, const char *name, size_t length, struct buffer *out)
{
	const struct settings *settings = writing->ctx->runtime->settings;
	const char *about = writing->order->about ? writing->order->about : "not known";

	if (strncmp(name, "app", length) == 0)
		buffer_add_string(out, writing->ctx->runtime->registry->app->name);
	else if (strncmp(name, "site", length) == 0)
		buffer_add_string(out, settings->public_url);
	else if (strncmp(name, "address", length) == 0)
		buffer_add_string(out, writing->address);
	else if (strncmp(name, "about", length) == 0)
		buffer_add_string(out, about);
	else if (strncmp(name, "when", length) == 0)
		add_minute(out, writing->ctx->delivery->enqueued_at);
	else if (strncmp(name, "until", length) == 0)
		add_minute(out, writing->delete_after.value);
	else if (strncmp(name, "token", length) == 0)
		buffer_add_string(out, writing->token);
	else if (strncmp(name, "link", length) == 0)
		buffer_add_format(out, "%s/%s#token=%s", settings->account_url, writing->letter->page, writing->token);
	else
		panic("a mail names {%.*s}", (int)length, name);
}

/* Values are not looked into: what stands in braces in them stays. */
static char *fill(const struct writing *writing, const char *template)
{
	struct buffer out = { 0 };
	char *text;

	while (*template) {
		size_t plain = strcspn(template, "{"), length;

		buffer_add(&out, template, plain);
		template += plain;
		if (!*template)
			break;
		length = strcspn(template, "}");
		add_named(writing, template + 1, length - 1, &out);
		template += length + 1;
	}
	text = prong_strdup(writing->ctx, buffer_text(&out));
	buffer_free(&out);
	return text;
}

/* Each attempt makes a secret of its own: none is kept anywhere that could be read back. */
static int make_secret(struct writing *writing, const struct addressee *addressee)
{
	if (!writing->letter->page)
		return 0;
	return secret_make(writing->ctx, writing->letter->purpose, addressee->id, writing->to, writing->token);
}

/* ---- the job ---- */

static int deliver(struct writing *writing)
{
	const struct delivery *delivery = writing->ctx->delivery;
	const struct mail mail = {
		.to = writing->to,
		.subject = fill(writing, writing->letter->subject),
		.text = fill(writing, writing->letter->text),
	};

	return mail_deliver(writing->ctx, &mail, delivery->id, delivery->enqueued_at);
}

/* Whose account was deleted is told so at the address it had. */
static int send_deleted(struct writing *writing)
{
	if (writing->order->mail != MAIL_DELETION || !writing->order->address)
		return 0;
	writing->letter = &deleted_letter;
	writing->to = writing->address = writing->order->address;
	return deliver(writing);
}

/*
 * A new address that another account has: whose it is hears of it, without a secret. 1: nobody hears anything, for it
 * is asked no more, or whose it is must not.
 */
static int turn_to_owner(struct writing *writing, const struct addressee *asking)
{
	struct addressee *owner;
	int r = secret_stands(writing->ctx, SECRET_EMAIL_ASKED, asking->id, writing->to);

	if (r <= 0)
		return r < 0 ? r : 1;
	r = find_by_address(writing->ctx, writing->to, &owner);
	if (r < 0 || !owner || prong_uuid_equal(owner->id, asking->id))
		return r;
	writing->letter = &taken_letter;
	writing->to = writing->address = owner->email;
	return owner->is_disabled;
}

static int send_account_mail(struct prong_ctx *ctx)
{
	const struct account_mail_order *order = prong_payload(ctx, account_mail_order);
	struct writing writing = { .ctx = ctx, .order = order, .letter = &letters[order->mail] };
	struct addressee *addressee;
	int r;

	r = find(ctx, order, &addressee);
	if (r < 0)
		return r;
	if (!addressee)
		return send_deleted(&writing);
	if (!is_true(order->mail, addressee))
		return 0;
	writing.to = order->account_id.set && order->address ? order->address : addressee->email;
	writing.address = order->mail == MAIL_CHANGE_EMAIL ? writing.to : addressee->email;
	writing.delete_after = addressee->delete_after;
	if (order->mail == MAIL_CHANGE_EMAIL)
		r = turn_to_owner(&writing, addressee);
	if (r != 0)
		return r < 0 ? r : 0;
	r = make_secret(&writing, addressee);
	return r < 0 ? r : deliver(&writing);
}

const struct prong_job account_mail_job = {
	.name = "account_mail",
	.run = send_account_mail,
	.payload = &account_mail_order_schema,
	.queue = "mail",
	.durable = true,
};
