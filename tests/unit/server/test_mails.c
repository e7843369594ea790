#include "server/routes/accounts/mails.h"

#include <dirent.h>

#include "common/jobs/job_record.h"
#include "common/schema/schema.h"
#include "server/routes/accounts/secrets.h"
#include "tests/unit/server/accounts_fixture.h"
#include "tests/unit/test.h"

#define JOB_ID "0190a5d4-0000-7000-8000-00000000000a"
#define ASKED_AT (INT64_C(1767225600) * 1000000) /* 2026-01-01T00:00:00Z */

/* What is asked for, and the mail that comes of it. */
struct sending {
	enum account_mail mail;
	prong_uuid account_id;
	const char *address, *about;
	char *text; /* with soft line breaks taken out; NULL: none was sent */
};

static int enqueue(struct prong_ctx *ctx, void *argument)
{
	const struct sending *sending = argument;

	return account_mail(ctx, sending->mail, sending->account_id, sending->address, sending->about);
}

/* The job that was enqueued, as a worker runs it. */
static int run(struct prong_ctx *ctx, void *argument)
{
	_cleanup_(freep) char *text = durable_sql("DELETE FROM prong_outbox RETURNING record");
	struct delivery delivery = { .id = JOB_ID, .enqueued_at = { ASKED_AT }, .attempt = 1 };
	struct schema_errors errors;
	struct job_record record;
	const char *detail;
	void *payload;
	(void)argument;

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	job_record_parse(text, strlen(text), &ctx->arena, &record);
	CU_ASSERT_EQUAL_FATAL(schema_bind_json(account_mail_job.payload, SCHEMA_PAYLOAD, record.payload,
					       record.payload_size, &ctx->arena, &payload, &detail, &errors),
			      0);
	ctx->delivery = &delivery;
	ctx->input_schema = account_mail_job.payload;
	ctx->input = payload;
	return account_mail_job.run(ctx);
}

static void remove_soft_breaks(char *text)
{
	for (char *soft; (soft = strstr(text, "=\r\n"));)
		memmove(soft, soft + 3, strlen(soft + 3) + 1);
	for (char *equals; (equals = strstr(text, "=3D"));)
		memmove(equals + 1, equals + 3, strlen(equals + 3) + 1);
}

/* Takes the only mail out of the mailbox. */
static char *take_mail(struct accounts_fixture *fixture)
{
	DIR *folder = opendir(fixture->mail_dir);
	char *text = NULL;
	size_t size;

	check(folder);
	for (struct dirent *entry; (entry = readdir(folder));) {
		_cleanup_(freep) char *path = format_text("%s/%s", fixture->mail_dir, entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		CU_ASSERT_PTR_NULL_FATAL(text);
		CU_ASSERT_EQUAL_FATAL(file_read(path, 1 << 20, &text, &size), 0);
		unlink(path);
	}
	closedir(folder);
	if (text)
		remove_soft_breaks(text);
	return text;
}

static const char *send(struct accounts_fixture *fixture, struct sending *sending)
{
	free(sending->text);
	CU_ASSERT_EQUAL_FATAL(accounts_run(fixture, enqueue, sending), 0);
	CU_ASSERT_EQUAL_FATAL(accounts_run(fixture, run, NULL), 0);
	sending->text = take_mail(fixture);
	return sending->text;
}

static void expect(const char *text, const char *part)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	if (!strstr(text, part))
		fprintf(stderr, "no '%s' in:\n%s\n", part, text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, part));
}

/* The secret that a mail brings. */
static void find_token(const char *text, const char *page, char ret_token[SECRET_TEXT_SIZE])
{
	_cleanup_(freep) char *link = format_text("    https://www.example.com/account/%s#token=", page);
	const char *at, *bare;

	expect(text, link);
	at = strstr(text, link) + strlen(link);
	CU_ASSERT_EQUAL_FATAL(strcspn(at, "\r\n"), SECRET_TEXT_SIZE - 1);
	snprintf(ret_token, SECRET_TEXT_SIZE, "%s", at);
	bare = strstr(at + SECRET_TEXT_SIZE - 1, ret_token); /* again, alone on its line */
	CU_ASSERT_PTR_NOT_NULL_FATAL(bare);
	CU_ASSERT_EQUAL(strncmp(bare - 6, "\r\n    ", 6), 0);
	CU_ASSERT_EQUAL(bare[SECRET_TEXT_SIZE - 1], '\r');
}

struct proof {
	enum secret_purpose purpose;
	char token[SECRET_TEXT_SIZE];
	prong_uuid owner;
	const char *address;
};

static int prove(struct prong_ctx *ctx, void *argument)
{
	const struct proof *proof = argument;
	const char *address;
	prong_uuid id;
	int r = secret_use(ctx, proof->purpose, proof->token, &id, &address);

	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_TRUE(prong_uuid_equal(id, proof->owner));
	CU_ASSERT_STRING_EQUAL(address, proof->address);
	return 0;
}

TEST(mails, bring_a_secret_to_the_stored_address)
{
	struct accounts_fixture fixture;
	struct sending sending = { .mail = MAIL_RESET, .address = "aDA@EXAMPLE.com" };
	struct proof proof = { .purpose = SECRET_RESET, .address = "Ada@Example.com" };

	accounts_open(&fixture);
	proof.owner = accounts_add("Ada@Example.com");
	send(&fixture, &sending);
	expect(sending.text, "To: <Ada@Example.com>\r\n");
	expect(sending.text, "Message-ID: <" JOB_ID "@example.com>\r\n");
	expect(sending.text, "Subject: Choose a new password for test app\r\n");
	expect(sending.text, "On 2026-01-01 00:00 UTC somebody");
	expect(sending.text, "test app (https://api.example.com), Ada@Example.com.");
	expect(sending.text, "If this was not you");
	find_token(sending.text, "reset-password", proof.token);
	CU_ASSERT_EQUAL(accounts_run(&fixture, prove, &proof), 0);

	sending = (struct sending){ .mail = MAIL_VERIFY, .account_id = proof.owner, .text = sending.text };
	proof.purpose = SECRET_VERIFY;
	send(&fixture, &sending);
	expect(sending.text, "To: <Ada@Example.com>\r\n");
	find_token(sending.text, "verify", proof.token);
	CU_ASSERT_EQUAL(accounts_run(&fixture, prove, &proof), 0);
	free(sending.text);
	accounts_close(&fixture);
}

/* An attempt that is repeated, because its worker died after the delivery, makes another secret under the same id. */
TEST(mails, sent_twice_are_recognised_and_both_serve)
{
	struct accounts_fixture fixture;
	struct sending sending = { .mail = MAIL_RESET };
	char first[SECRET_TEXT_SIZE], second[SECRET_TEXT_SIZE];

	accounts_open(&fixture);
	sending.account_id = accounts_add("ada@example.com");
	find_token(send(&fixture, &sending), "reset-password", first);
	find_token(send(&fixture, &sending), "reset-password", second);
	expect(sending.text, "Message-ID: <" JOB_ID "@example.com>\r\n");
	CU_ASSERT_STRING_NOT_EQUAL(first, second);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_secrets WHERE used_at IS NULL"), 2);
	free(sending.text);
	accounts_close(&fixture);
}

TEST(mails, of_unknown_accounts_are_not_sent)
{
	struct accounts_fixture fixture;
	struct sending sending = { .mail = MAIL_RESET, .address = "nobody@example.com" };

	accounts_open(&fixture);
	CU_ASSERT_PTR_NULL(send(&fixture, &sending));
	for (unsigned mail = MAIL_VERIFY; mail <= MAIL_API_KEY_CREATED; mail++) {
		sending = (struct sending){ .mail = mail, .account_id = prong_uuid_make() };
		CU_ASSERT_PTR_NULL(send(&fixture, &sending));
	}
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_secrets"), 0);
	accounts_close(&fixture);
}

TEST(mails, of_disabled_accounts_say_only_that)
{
	struct accounts_fixture fixture;
	struct sending sending = { 0 };

	accounts_open(&fixture);
	sending.account_id = accounts_add("ada@example.com");
	sending.mail = MAIL_DISABLED;
	CU_ASSERT_PTR_NULL(send(&fixture, &sending)); /* enabled again meanwhile */
	free(durable_sql("UPDATE prong_accounts SET disabled_at = now(), delete_after = now()"));
	for (unsigned mail = MAIL_VERIFY; mail <= MAIL_API_KEY_CREATED; mail++) {
		sending.mail = mail;
		CU_ASSERT_EQUAL(send(&fixture, &sending) != NULL, mail == MAIL_DISABLED);
	}
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_secrets"), 0);
	free(sending.text);
	accounts_close(&fixture);
}

static void prove_addresses(void)
{
	free(durable_sql("UPDATE prong_accounts SET email_verified_at = now()"));
}

TEST(mails, that_became_untrue_are_not_sent)
{
	struct accounts_fixture fixture;
	struct sending sending = { .mail = MAIL_DELETION };

	accounts_open(&fixture);
	sending.account_id = accounts_add("ada@example.com");
	prove_addresses();
	CU_ASSERT_PTR_NULL(send(&fixture, &sending)); /* it was kept */
	free(durable_sql("UPDATE prong_accounts SET delete_after = '2026-01-15 00:00Z'"));
	expect(send(&fixture, &sending), "on 2026-01-15 00:00 UTC it will be deleted");

	sending.mail = MAIL_VERIFY;
	CU_ASSERT_PTR_NULL(send(&fixture, &sending));
	accounts_close(&fixture);
}

/* It may be a stranger's, who did not ask for any, and whoever gave it would choose the words. */
TEST(mails, of_what_an_account_does_go_to_no_address_that_is_not_proven)
{
	static const enum account_mail told[] = { MAIL_PASSWORD_CHANGED, MAIL_EMAIL_CHANGING, MAIL_NEW_DEVICE,
						  MAIL_DELETION, MAIL_API_KEY_CREATED };
	struct accounts_fixture fixture;
	struct sending sending = { .about = "Look at https://evil.example" };

	accounts_open(&fixture);
	sending.account_id = accounts_add("ada@example.com");
	free(durable_sql("UPDATE prong_accounts SET delete_after = now() + interval '1 hour'"));
	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		sending.mail = told[i];
		CU_ASSERT_PTR_NULL(send(&fixture, &sending));
	}
	prove_addresses();
	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		sending.mail = told[i];
		CU_ASSERT_PTR_NOT_NULL(send(&fixture, &sending));
	}
	free(sending.text);
	accounts_close(&fixture);
}

static int ask_address(struct prong_ctx *ctx, void *argument)
{
	const struct sending *sending = argument;
	char asked[SECRET_TEXT_SIZE];

	return secret_make(ctx, SECRET_EMAIL_ASKED, sending->account_id, sending->address, asked);
}

/* Another password voids what was asked before it; and no job alone gives an account to whoever enqueues it. */
TEST(mails, bring_no_secret_for_an_address_that_the_account_does_not_ask_for)
{
	struct accounts_fixture fixture;
	struct sending sending = { .mail = MAIL_CHANGE_EMAIL, .address = "eve@example.org" };

	accounts_open(&fixture);
	sending.account_id = accounts_add("ada@example.com");
	CU_ASSERT_PTR_NULL(send(&fixture, &sending));
	CU_ASSERT_EQUAL_FATAL(accounts_run(&fixture, ask_address, &sending), 0);
	free(durable_sql("UPDATE prong_secrets SET used_at = now()"));
	CU_ASSERT_PTR_NULL(send(&fixture, &sending));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_secrets WHERE purpose = 'change_email'"), 0);
	accounts_close(&fixture);
}

TEST(mails, about_a_new_address_go_there_and_to_the_old_one)
{
	struct accounts_fixture fixture;
	struct sending sending = { .mail = MAIL_CHANGE_EMAIL, .address = "New@example.org" };
	struct proof proof = { .purpose = SECRET_CHANGE_EMAIL, .address = "New@example.org" };

	accounts_open(&fixture);
	proof.owner = sending.account_id = accounts_add("old@example.com");
	accounts_add("Grace@example.com");
	prove_addresses();
	CU_ASSERT_EQUAL_FATAL(accounts_run(&fixture, ask_address, &sending), 0);
	send(&fixture, &sending);
	expect(sending.text, "To: <New@example.org>\r\n");
	CU_ASSERT_PTR_NULL(strstr(sending.text, "old@example.com")); /* it may be a stranger's */
	find_token(sending.text, "change-email", proof.token);
	CU_ASSERT_EQUAL(accounts_run(&fixture, prove, &proof), 0);

	/* Of one that is taken its owner hears, and nobody gets a secret. */
	sending.address = "grace@EXAMPLE.com";
	CU_ASSERT_EQUAL_FATAL(accounts_run(&fixture, ask_address, &sending), 0);
	send(&fixture, &sending);
	expect(sending.text, "To: <Grace@example.com>\r\n");
	expect(sending.text, "It is yours");
	CU_ASSERT_PTR_NULL(strstr(sending.text, "token="));
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_secrets WHERE purpose = 'change_email'"), 1);
	free(durable_sql("UPDATE prong_accounts SET disabled_at = now() WHERE email = 'Grace@example.com'"));
	CU_ASSERT_PTR_NULL(send(&fixture, &sending));

	/* Its own, written otherwise, is not taken. */
	sending.address = "OLD@example.com";
	CU_ASSERT_EQUAL_FATAL(accounts_run(&fixture, ask_address, &sending), 0);
	expect(send(&fixture, &sending), "#token=");

	sending.mail = MAIL_EMAIL_CHANGING;
	sending.address = NULL;
	sending.about = "New@example.org";
	expect(send(&fixture, &sending), "To: <old@example.com>\r\n");
	expect(sending.text, "New@example.org");
	sending.mail = MAIL_EMAIL_CHANGED;
	sending.address = "older@example.com";
	expect(send(&fixture, &sending), "To: <older@example.com>\r\n");
	free(sending.text);
	accounts_close(&fixture);
}

TEST(mails, tell_who_was_deleted)
{
	struct accounts_fixture fixture;
	struct sending sending = { .mail = MAIL_DELETION, .address = "gone@example.com" };

	accounts_open(&fixture);
	sending.account_id = prong_uuid_make();
	expect(send(&fixture, &sending), "To: <gone@example.com>\r\n");
	expect(sending.text, "was deleted");
	free(sending.text);
	accounts_close(&fixture);
}

/* What a client sends as its device stays on its line, and fills no template. */
TEST(mails, show_what_clients_sent_as_text)
{
	struct accounts_fixture fixture;
	struct sending sending = { .mail = MAIL_NEW_DEVICE };
	char long_text[1000];

	accounts_open(&fixture);
	sending.account_id = accounts_add("ada@example.com");
	prove_addresses();
	sending.about = "Fire{token}{link}\r\nBcc: eve@example.com\r\n\r\n.\r\nfox\x7f\x01 \xff\xc2\xa9";
	send(&fixture, &sending);
	expect(sending.text, "\r\n    Fire{token}{link}  Bcc: eve@example.com    .  fox   ?=C2=A9\r\n");
	CU_ASSERT_PTR_NULL(strstr(sending.text, "\r\nBcc"));

	memset(long_text, 'x', sizeof(long_text) - 1);
	memcpy(long_text + 199, "\xc3\xa4", 2);
	long_text[sizeof(long_text) - 1] = '\0';
	sending.about = long_text;
	send(&fixture, &sending);
	CU_ASSERT_EQUAL(strspn(strstr(sending.text, "xx"), "x"), 199);
	CU_ASSERT_PTR_NULL(strstr(sending.text, "=C3"));
	sending.about = NULL;
	expect(send(&fixture, &sending), "    not known\r\n");
	free(sending.text);
	accounts_close(&fixture);
}

static int enqueue_odd_address(struct prong_ctx *ctx, void *argument)
{
	(void)argument;
	return account_mail(ctx, MAIL_RESET, (prong_uuid){ 0 }, "ada@example.com\r\nBcc: eve@example.com", NULL);
}

TEST(mails, take_no_header_for_an_address)
{
	struct accounts_fixture fixture;

	accounts_open(&fixture);
	CU_ASSERT_TRUE(accounts_run(&fixture, enqueue_odd_address, NULL) < 0);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox"), 0);
	accounts_close(&fixture);
}

static int enqueue_and_roll_back(struct prong_ctx *ctx, void *argument)
{
	CU_ASSERT_EQUAL(prong_begin(ctx), 0);
	CU_ASSERT_EQUAL(enqueue(ctx, argument), 0);
	prong_rollback(ctx);
	return 0;
}

TEST(mails, belong_to_the_transaction)
{
	struct accounts_fixture fixture;
	struct sending sending = { .mail = MAIL_RESET, .address = "ada@example.com" };

	accounts_open(&fixture);
	CU_ASSERT_EQUAL(accounts_run(&fixture, enqueue_and_roll_back, &sending), 0);
	CU_ASSERT_EQUAL(durable_count("SELECT count(*) FROM prong_outbox"), 0);
	accounts_close(&fixture);
}
