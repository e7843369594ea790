#include "server/routes/accounts/accounts.h"

#include "server/routes/accounts/api_keys.h"
#include "server/routes/accounts/audit.h"
#include "server/routes/accounts/housekeeping.h"
#include "server/routes/accounts/mails.h"
#include "server/routes/accounts/own_account.h"
#include "server/routes/accounts/signing_keys.h"

/* Bytes: both members at their limits, every byte of them escaped, with room to spare. */
#define MAX_CREDENTIALS 16384

static const struct prong_route routes[] = {
	{ PRONG_POST, "/v1/accounts", create_account, .body = &sign_up_schema, .reply = &account_schema,
	  .max_body = MAX_CREDENTIALS, .access = PRONG_PUBLIC, .summary = "Sign up" },
	{ PRONG_POST, "/v1/accounts/verify", verify_account, .body = &proof_schema, .max_body = MAX_CREDENTIALS,
	  .access = PRONG_PUBLIC, .summary = "Prove an address by the token that was mailed to it" },
	{ PRONG_POST, "/v1/accounts/verification", ask_verification, .body = &mail_address_schema,
	  .reply = &notice_schema, .max_body = MAX_CREDENTIALS, .access = PRONG_PUBLIC,
	  .summary = "Ask for the mail that proves an address" },
	{ PRONG_POST, "/v1/sessions", create_session, .body = &credentials_schema, .reply = &session_schema,
	  .max_body = MAX_CREDENTIALS, .access = PRONG_PUBLIC, .summary = "Sign in" },
	{ PRONG_POST, "/v1/sessions/refresh", refresh_session, .body = &refresh_request_schema,
	  .reply = &session_schema, .max_body = MAX_CREDENTIALS, .access = PRONG_PUBLIC,
	  .summary = "Refresh a session" },
	{ PRONG_GET, "/v1/sessions", list_sessions, .reply = &listed_session_schema, .access = PRONG_SIGNED_IN,
	  .summary = "The account's sessions" },
	{ PRONG_DELETE, "/v1/sessions", end_sessions, .query = &which_sessions_schema, .reply = &count_schema,
	  .access = PRONG_SIGNED_IN, .summary = "Sign out everywhere, or everywhere else" },
	{ PRONG_DELETE, "/v1/sessions/current", end_own_session, .access = PRONG_SIGNED_IN, .summary = "Sign out" },
	{ PRONG_DELETE, "/v1/sessions/{id}", end_session, .access = PRONG_SIGNED_IN, .summary = "End a session" },
	{ PRONG_GET, "/v1/account", get_own_account, .reply = &own_account_schema, .access = PRONG_SIGNED_IN,
	  .summary = "The signed-in account" },
	{ PRONG_PATCH, "/v1/account", update_own_account, .body = &account_update_schema, .reply = &own_account_schema,
	  .access = PRONG_SIGNED_IN, .summary = "Change the account's name" },
	{ PRONG_DELETE, "/v1/account", delete_own_account, .reply = &deletion_schema, .access = PRONG_SIGNED_IN,
	  .recent = true, .summary = "Delete the account after DELETION_GRACE" },
	{ PRONG_GET, "/v1/account/export", export_own_account, .reply = &account_export_schema,
	  .access = PRONG_SIGNED_IN, .recent = true, .summary = "What is kept of the account, as JSON" },
	{ PRONG_PUT, "/v1/account/password", change_password, .body = &password_change_schema,
	  .max_body = MAX_CREDENTIALS, .access = PRONG_SIGNED_IN, .summary = "Change the password" },
	{ PRONG_POST, "/v1/account/email", request_email_change, .body = &mail_address_schema, .reply = &notice_schema,
	  .access = PRONG_SIGNED_IN, .recent = true, .summary = "Ask for another address, which is to be confirmed" },
	{ PRONG_POST, "/v1/account/email/confirm", confirm_email_change, .body = &proof_schema,
	  .max_body = MAX_CREDENTIALS, .access = PRONG_PUBLIC,
	  .summary = "Confirm the other address by the token that was mailed to it" },
	{ PRONG_POST, "/v1/password-resets", request_password_reset, .body = &mail_address_schema,
	  .reply = &notice_schema, .max_body = MAX_CREDENTIALS, .access = PRONG_PUBLIC,
	  .summary = "Ask for a new password by mail" },
	{ PRONG_POST, "/v1/password-resets/confirm", confirm_password_reset, .body = &password_reset_schema,
	  .max_body = MAX_CREDENTIALS, .access = PRONG_PUBLIC,
	  .summary = "Choose a new password by the token that was mailed" },
	{ PRONG_GET, "/v1/account/audit", list_own_audit, .query = &audit_page_schema, .reply = &audit_entry_schema,
	  .access = PRONG_SIGNED_IN, .summary = "What was done to the signed-in account, the latest first" },
	{ PRONG_GET, "/v1/admin/audit", list_audit, .query = &audit_filter_schema, .reply = &audit_entry_schema,
	  .access = PRONG_ADMIN, .summary = "The audit log, the latest first" },
	{ PRONG_POST, "/v1/account/api-keys", create_api_key, .body = &new_api_key_schema, .reply = &api_key_schema,
	  .access = PRONG_SIGNED_IN, .recent = true, .summary = "Make an API key" },
	{ PRONG_GET, "/v1/account/api-keys", list_api_keys, .reply = &api_key_schema, .access = PRONG_SIGNED_IN,
	  .summary = "The account's API keys" },
	{ PRONG_DELETE, "/v1/account/api-keys/{id}", delete_api_key, .access = PRONG_SIGNED_IN,
	  .summary = "Revoke an API key" },
	{ PRONG_GET, "/.well-known/jwks.json", get_jwks, .access = PRONG_PUBLIC,
	  .summary = "The public keys of access tokens" },
	{}
};

extern const char embedded_accounts_0001_accounts_up_sql[], embedded_accounts_0001_accounts_down_sql[];
extern const char embedded_accounts_0002_sessions_up_sql[], embedded_accounts_0002_sessions_down_sql[];
extern const char embedded_accounts_0003_signing_keys_up_sql[], embedded_accounts_0003_signing_keys_down_sql[];
extern const char embedded_accounts_0004_scopes_up_sql[], embedded_accounts_0004_scopes_down_sql[];
extern const char embedded_accounts_0005_states_up_sql[], embedded_accounts_0005_states_down_sql[];
extern const char embedded_accounts_0006_refresh_up_sql[], embedded_accounts_0006_refresh_down_sql[];
extern const char embedded_accounts_0007_secrets_up_sql[], embedded_accounts_0007_secrets_down_sql[];
extern const char embedded_accounts_0008_api_keys_up_sql[], embedded_accounts_0008_api_keys_down_sql[];
extern const char embedded_accounts_0009_audit_up_sql[], embedded_accounts_0009_audit_down_sql[];
extern const char embedded_accounts_0010_key_rotation_up_sql[], embedded_accounts_0010_key_rotation_down_sql[];

static const struct prong_migration migrations[] = {
	{ 1, "accounts", embedded_accounts_0001_accounts_up_sql, embedded_accounts_0001_accounts_down_sql },
	{ 2, "sessions", embedded_accounts_0002_sessions_up_sql, embedded_accounts_0002_sessions_down_sql },
	{ 3, "signing_keys", embedded_accounts_0003_signing_keys_up_sql, embedded_accounts_0003_signing_keys_down_sql },
	{ 4, "scopes", embedded_accounts_0004_scopes_up_sql, embedded_accounts_0004_scopes_down_sql },
	{ 5, "states", embedded_accounts_0005_states_up_sql, embedded_accounts_0005_states_down_sql },
	{ 6, "refresh", embedded_accounts_0006_refresh_up_sql, embedded_accounts_0006_refresh_down_sql },
	{ 7, "secrets", embedded_accounts_0007_secrets_up_sql, embedded_accounts_0007_secrets_down_sql },
	{ 8, "api_keys", embedded_accounts_0008_api_keys_up_sql, embedded_accounts_0008_api_keys_down_sql },
	{ 9, "audit", embedded_accounts_0009_audit_up_sql, embedded_accounts_0009_audit_down_sql },
	{ 10, "key_rotation", embedded_accounts_0010_key_rotation_up_sql,
	  embedded_accounts_0010_key_rotation_down_sql },
	{}
};

const struct prong_module prong_accounts = {
	.name = "accounts",
	.routes = routes,
	.jobs = PRONG_JOBS(&account_mail_job, &accounts_housekeeping_job, &rotate_keys_job),
	.schedules = PRONG_SCHEDULES(&accounts_housekeeping_schedule, &rotate_keys_schedule),
	.migrations = migrations,
};
