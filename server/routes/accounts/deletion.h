/*
 * The end of an account. Its owner's wish sets delete_after; what is due is deleted by housekeeping. Rows that
 * reference prong_accounts with ON DELETE CASCADE go with it, an application's too; a row that holds it by a plain
 * reference keeps it, and a line of the log says so. The audit log keeps its lines.
 */
#ifndef DELETION_H
#define DELETION_H

#include <prong/prong.h>

/*
 * Deletes an account now, in a transaction of its own; its tokens and API keys are void at once, and where its address
 * is proven a mail says that it is gone. `actor` as in audit.h. Suspends. 0; -ENOENT: there is none; -EINVAL: other
 * rows hold it, and the log has said which tables' may; else as prong_exec().
 */
int account_delete(struct prong_ctx *ctx, prong_uuid account_id, const char *actor);

/* Housekeeping: deletes the accounts that are due, each by itself; those that are held stay. Suspends; 0, or an error.
 */
int accounts_purge(struct prong_ctx *ctx);

#endif
