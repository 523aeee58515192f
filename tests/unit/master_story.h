/* What the stories of the master's core have in common: telling lines of master_script.h, and what
 * is expected of them. */
#ifndef RV_TESTS_MASTER_STORY_H
#define RV_TESTS_MASTER_STORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master_script.h"

/* What came of these lines; the script goes on with the next call. */
static const char *tell(struct script *s, const char *lines) {
    rv_buf_clear(&s->text);
    script_run(s, lines);
    assert_false(s->failed);
    return s->text.data;
}

static void fail_text(const char *text, const char *what, const char *line) {
    fprintf(stderr, "%s: %s\nin:\n%s\n", what, line, text);
    fail();
}

#define EXPECT(s, line)                                                                            \
    do {                                                                                           \
        if (!strstr((s).text.data, (line)))                                                        \
            fail_text((s).text.data, "missing", (line));                                           \
    } while (0)
#define REFUTE(s, line)                                                                            \
    do {                                                                                           \
        if (strstr((s).text.data, (line)))                                                         \
            fail_text((s).text.data, "not expected", (line));                                      \
    } while (0)

#define CLUSTER                                                                                    \
    "scheduler S1 subscribe name=a roles=x failover=60000\n"                                       \
    "agent A1 register resources=cpus:4;mem:1024\n"                                                \
    "t=10\n"
#define AWARE_CLUSTER                                                                              \
    "scheduler S1 subscribe name=a roles=x failover=600000 checkpoint=1 caps=PARTITION_AWARE\n"    \
    "agent A1 register resources=cpus:4;mem:1024\n"                                                \
    "t=10\n"
#define RUNNING                                                                                    \
    "scheduler S1 accept offers=M-O0 refuse=100000000 launch=t1@cpus:1;mem:128\n"                  \
    "agent A1 update task=t1 state=RUNNING uuid=1\n"                                               \
    "scheduler S1 acknowledge task=t1 uuid=1\n"

#endif
