/* The jobs that every application has: `send_mail`. */
#ifndef BUILTIN_H
#define BUILTIN_H

#include <prong/app.h>

extern const struct prong_module worker_builtin_module;

#endif
