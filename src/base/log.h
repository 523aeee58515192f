/*
 * Structured logging for shells: a line a record, "time level module message key=value ...".
 * The cores never log; they emit effects that a shell logs.
 */
#ifndef RV_BASE_LOG_H
#define RV_BASE_LOG_H

#include "base/error.h"

enum rv_log_level { RV_LOG_ERROR, RV_LOG_WARNING, RV_LOG_INFO, RV_LOG_DEBUG, RV_LOG_TRACE };

const char *rv_log_level_name(enum rv_log_level level);
/* -1 if there is no such level. */
int rv_log_level_parse(const char *name);

void rv_log_set_level(enum rv_log_level level);
enum rv_log_level rv_log_get_level(void);
void rv_log_set_fd(int fd); /* standard error by default; not closed */
/* One line, written with one write(2); control characters and invalid UTF-8 are escaped. */
void rv_log(enum rv_log_level level, const char *module, const char *format, ...) RV_PRINTF(3, 4);

#define RV_ERROR(module, ...) rv_log(RV_LOG_ERROR, module, __VA_ARGS__)
#define RV_WARN(module, ...) rv_log(RV_LOG_WARNING, module, __VA_ARGS__)
#define RV_INFO(module, ...) rv_log(RV_LOG_INFO, module, __VA_ARGS__)
#define RV_DEBUG(module, ...)                                                                      \
    do {                                                                                           \
        if (rv_log_get_level() >= RV_LOG_DEBUG)                                                    \
            rv_log(RV_LOG_DEBUG, module, __VA_ARGS__);                                             \
    } while (0)

#endif
