#include "common/mail/mail.h"

#include "common/context.h"
#include "common/schema/format.h"

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 0x7f)
			return false;
	return true;
}

const char *mail_mistake(const struct mail *mail)
{
	if (has_control(mail->to) || !is_ascii(mail->to) || !format_is_email(mail->to))
		return "The recipient is not an e-mail address of ASCII characters.";
	if (has_control(mail->subject))
		return "The subject has a line break or another control character.";
	return NULL;
}

int prong_send_mail(struct prong_ctx *ctx, const struct prong_mail *mail)
{
	const struct prong_job *job = registry_job(ctx->runtime->registry, MAIL_JOB);
	struct mail record = { .to = mail->to, .subject = mail->subject, .text = mail->text };
	const char *mistake;

	check(job && mail->to && mail->subject && mail->text);
	mistake = mail_mistake(&record);
	if (mistake)
		return prong_fail(ctx, 422, "invalid_mail", "%s", mistake);
	return prong_job_enqueue(ctx, job, &record, sizeof(record), &(const struct prong_enqueue_options){ 0 });
}
