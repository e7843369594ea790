/* All of Prong's public API. */
#ifndef PRONG_H
#define PRONG_H

#include <prong/app.h>
#include <prong/context.h>
#include <prong/database.h>
#include <prong/http.h>
#include <prong/job.h>
#include <prong/mail.h>
#include <prong/schema.h>
#include <prong/types.h>

#endif
