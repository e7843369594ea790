#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/context.h"
#include "common/mail/mail.h"
#include "tests/unit/test.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define DATE ((prong_time){ 1700000000123456 }) /* 2023-11-14T22:13:20Z */

/* ---- the message ---- */

static bool message_has(const struct mail *mail, const char *from, const char *text)
{
	struct buffer out = { 0 };
	bool has;

	mail_write(mail, from, ID, DATE, &out);
	has = strstr(buffer_text(&out), text) != NULL;
	if (!has)
		fprintf(stderr, "%s\nlacks: %s\n", out.data, text);
	buffer_free(&out);
	return has;
}

TEST(mail, writes_a_message)
{
	const struct mail mail = { "ada@example.com", "Welcome", "Hello\nAda" };
	struct buffer out = { 0 };

	mail_write(&mail, "Prong <prong@example.org>", ID, DATE, &out);
	CU_ASSERT_STRING_EQUAL(buffer_text(&out), "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
						  "Message-ID: <" ID "@example.org>\r\n"
						  "From: Prong <prong@example.org>\r\n"
						  "To: <ada@example.com>\r\n"
						  "Subject: Welcome\r\n"
						  "MIME-Version: 1.0\r\n"
						  "Content-Type: text/plain; charset=utf-8\r\n"
						  "Content-Transfer-Encoding: quoted-printable\r\n"
						  "\r\n"
						  "Hello\r\nAda\r\n");
	buffer_free(&out);
}

TEST(mail, encodes_its_header)
{
	struct mail mail = { "ada@example.com", "Grüße", "" };

	CU_ASSERT(message_has(&mail, "a@b.c", "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"));
	CU_ASSERT(message_has(&mail, "a@b.c", "From: <a@b.c>\r\n"));
	CU_ASSERT(message_has(&mail, "Jürgen <a@b.c>", "From: =?UTF-8?B?SsO8cmdlbg==?= <a@b.c>\r\n"));
	CU_ASSERT(message_has(&mail, "\"Prong, Inc.\" <a@b.c>", "From: \"Prong, Inc.\" <a@b.c>\r\n"));
	mail.subject = "=?UTF-8?B?R3LDvMOfZQ==?="; /* is text, not an encoding of ours */
	CU_ASSERT(message_has(&mail, "a@b.c", "Subject: =?UTF-8?B?PT"));
	/* Words of at most 75 characters that split no character of 3 bytes. */
	mail.subject = "€€€€€€€€€€€€€€€€€€€€";
	CU_ASSERT(message_has(&mail, "a@b.c",
			      "=?UTF-8?B?4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs?=\r\n"
			      " =?UTF-8?B?4oKs4oKs4oKs4oKs4oKs4oKs?=\r\n"));
}

TEST(mail, encodes_its_text)
{
	struct mail mail = { "ada@example.com", "x", "1 + 1 = 2, Grüße\r\ntab\t\nblank \r.\n\nend" };

	CU_ASSERT(message_has(&mail, "a@b.c",
			      "\r\n\r\n1 + 1 =3D 2, Gr=C3=BC=C3=9Fe\r\n"
			      "tab=09\r\nblank=20=0D.\r\n\r\nend\r\n"));
	mail.text = "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 ";
	CU_ASSERT(message_has(&mail, "a@b.c",
			      "\r\n\r\n123456789 123456789 123456789 123456789 123456789 123456789 123456789 12345=\r\n"
			      "6789=20\r\n"));
}

TEST(mail, refuses_to_have_its_header_injected)
{
	CU_ASSERT_PTR_NULL(mail_mistake(&(struct mail){ "a@b.org", "ok", "any\r\ntext" }));
	CU_ASSERT_PTR_NOT_NULL(mail_mistake(&(struct mail){ "a@b.org", "x\r\nBcc: c@d.org", "" }));
	CU_ASSERT_PTR_NOT_NULL(mail_mistake(&(struct mail){ "a@b.org", "x\n", "" }));
	CU_ASSERT_PTR_NOT_NULL(mail_mistake(&(struct mail){ "a@b.org", "x\x7f", "" }));
	CU_ASSERT_PTR_NOT_NULL(mail_mistake(&(struct mail){ "a@b.org\r\nBcc: c@d.org", "x", "" }));
	CU_ASSERT_PTR_NOT_NULL(mail_mistake(&(struct mail){ "a@b.org>", "x", "" }));
	CU_ASSERT_PTR_NOT_NULL(mail_mistake(&(struct mail){ "a@b.org c@d.org", "x", "" }));
	CU_ASSERT_PTR_NOT_NULL(mail_mistake(&(struct mail){ "nobody", "x", "" }));
}

/* ---- delivery ---- */

struct sending {
	struct settings settings;
	struct mail mail;
	char detail[300];
};

static int deliver(struct prong_ctx *ctx, void *argument)
{
	struct sending *sending = argument;
	int r = mail_deliver(ctx, &sending->mail, ID, DATE);

	snprintf(sending->detail, sizeof(sending->detail), "%s", ctx->problem.detail ? ctx->problem.detail : "");
	return r;
}

static int run_delivery(struct sending *sending)
{
	struct registry registry = { 0 };
	struct runtime *runtime;
	int r;

	sending->settings.threads = 2;
	sending->settings.max_requests = sending->settings.job_concurrency = 1;
	if (!sending->settings.mail_from)
		sending->settings.mail_from = "Prong <prong@example.org>";
	runtime = runtime_new(&sending->settings, &registry, NULL, "mail", -1, 0);
	r = context_run(runtime, PRONG_SECONDS(20), deliver, sending);
	runtime_free(runtime);
	return r;
}

static size_t count_files(const char *folder)
{
	DIR *directory = opendir(folder);
	struct dirent *entry;
	size_t count = 0;

	while (directory && (entry = readdir(directory)))
		count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
	if (directory)
		closedir(directory);
	return count;
}

TEST(mail, is_a_file_in_the_mailbox)
{
	char folder[] = "/tmp/prong-mail-XXXXXX";
	struct sending sending = { .mail = { "ada@example.com", "Welcome", "Hello" } };

	CU_ASSERT_FATAL(mkdtemp(folder) != NULL);
	_cleanup_(freep) char *box = format_text("%s/a/b", folder);
	_cleanup_(freep) char *path = format_text("%s/20231114T221320Z-" ID ".eml", box);
	_cleanup_(freep) char *content = NULL;
	size_t size;

	sending.settings.mail_dir = box;
	CU_ASSERT_EQUAL(run_delivery(&sending), 0);
	CU_ASSERT_EQUAL(run_delivery(&sending), 0); /* delivered twice: one file */
	CU_ASSERT_EQUAL(count_files(box), 1);
	CU_ASSERT_FATAL(file_read(path, 65536, &content, &size) == 0);
	CU_ASSERT(strstr(content, "To: <ada@example.com>\r\n") && strstr(content, "\r\n\r\nHello\r\n"));

	struct stat info;
	CU_ASSERT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
	CU_ASSERT(stat(box, &info) == 0 && (info.st_mode & 0777) == 0700);

	_cleanup_(freep) char *inside = format_text("%s/c", path);
	sending.settings.mail_dir = inside; /* a file is in the way */
	CU_ASSERT(run_delivery(&sending) < 0);
	CU_ASSERT(strstr(sending.detail, "Not a directory") != NULL);
	sending.settings.mail_dir = box;
	sending.mail.subject = "x\r\nBcc: eve@example.com";
	CU_ASSERT_EQUAL(run_delivery(&sending), -EINVAL);

	_cleanup_(freep) char *command = format_text("rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

/* A mail server of one conversation; what it was told is kept. */
struct mail_server {
	int listener, port;
	const char *at_data; /* its answer to DATA */
	pthread_t thread;
	char heard[8192];
	size_t size;
};

static void say(int fd, const char *text)
{
	CU_ASSERT(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static void answer(struct mail_server *server, int fd, const char *line, bool *in_data)
{
	if (*in_data) {
		if (!string_equal(line, ".\r\n"))
			return;
		*in_data = false;
		say(fd, "250 taken\r\n");
	} else if (strncmp(line, "EHLO", 4) == 0) {
		say(fd, "250-fake\r\n250 8BITMIME\r\n");
	} else if (strncmp(line, "DATA", 4) == 0) {
		say(fd, server->at_data);
		*in_data = server->at_data[0] == '3';
	} else {
		say(fd, "250 fine\r\n");
	}
}

static void *serve_mail(void *argument)
{
	struct mail_server *server = argument;
	int fd = accept(server->listener, NULL, NULL);
	FILE *input = fdopen(fd, "r");
	bool in_data = false;
	char line[2048];

	say(fd, "220 fake\r\n");
	while (fgets(line, sizeof(line), input) && strncmp(line, "QUIT", 4) != 0) {
		server->size += (size_t)snprintf(server->heard + server->size, sizeof(server->heard) - server->size,
						 "%s", line);
		answer(server, fd, line, &in_data);
	}
	fclose(input);
	return NULL;
}

static void mail_server_start(struct mail_server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_FATAL(bind(server->listener, (struct sockaddr *)&address, size) == 0);
	CU_ASSERT_FATAL(listen(server->listener, 1) == 0);
	CU_ASSERT_FATAL(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
	server->port = ntohs(address.sin_port);
	CU_ASSERT_FATAL(pthread_create(&server->thread, NULL, serve_mail, server) == 0);
}

static void mail_server_end(struct mail_server *server)
{
	pthread_join(server->thread, NULL);
	close(server->listener);
}

TEST(mail, goes_out_by_smtp)
{
	struct mail_server server = { .at_data = "354 go on\r\n" };
	struct sending sending = { .mail = { "ada@example.com", "Welcome", "Hello\n.hidden\n" } };

	mail_server_start(&server);
	_cleanup_(freep) char *url = format_text("smtp://127.0.0.1:%d", server.port);
	sending.settings.smtp_url = url;
	CU_ASSERT_EQUAL(run_delivery(&sending), 0);
	mail_server_end(&server);
	CU_ASSERT(strstr(server.heard, "MAIL FROM:<prong@example.org>") != NULL);
	CU_ASSERT(strstr(server.heard, "RCPT TO:<ada@example.com>") != NULL);
	CU_ASSERT(strstr(server.heard, "Message-ID: <" ID "@example.org>\r\n") != NULL);
	CU_ASSERT(strstr(server.heard, "\r\n\r\nHello\r\n..hidden\r\n.\r\n") != NULL);
}

TEST(mail, says_why_a_server_did_not_take_it)
{
	struct mail_server server = { .at_data = "452 full\r\n" };
	struct sending sending = { .mail = { "ada@example.com", "Welcome", "Hello" } };

	mail_server_start(&server);
	_cleanup_(freep) char *url = format_text("smtp://127.0.0.1:%d", server.port);
	sending.settings.smtp_url = url;
	CU_ASSERT_EQUAL(run_delivery(&sending), -EHOSTDOWN);
	CU_ASSERT(strstr(sending.detail, "452") != NULL);
	mail_server_end(&server);

	sending.settings.smtp_url = "smtp://127.0.0.1:1";
	CU_ASSERT_EQUAL(run_delivery(&sending), -EHOSTDOWN);
	CU_ASSERT(strlen(sending.detail) > 0);
}

TEST(mail, gives_no_password_to_a_server_without_tls)
{
	struct mail_server server = { .at_data = "354 go on\r\n" };
	struct sending sending = { .mail = { "ada@example.com", "Welcome", "Hello" } };

	mail_server_start(&server);
	_cleanup_(freep) char *url = format_text("smtp://user:s3cret@127.0.0.1:%d", server.port);
	sending.settings.smtp_url = url;
	CU_ASSERT(run_delivery(&sending) < 0);
	mail_server_end(&server);
	CU_ASSERT_PTR_NULL(strstr(server.heard, "AUTH"));
	CU_ASSERT_PTR_NULL(strstr(server.heard, "MAIL FROM"));
	CU_ASSERT_PTR_NULL(strstr(sending.detail, "s3cret"));
}
