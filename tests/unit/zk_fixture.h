/* One real ZooKeeper for all tests of a program. */
#ifndef RV_TESTS_ZK_FIXTURE_H
#define RV_TESTS_ZK_FIXTURE_H

#include "zk_world.h"

static struct zk_server server;
static bool is_there;

static int set_up_server(void **state) {
    (void)state;
    is_there = zk_make(&server, "1000"); /* sessions of 2 s to 20 s */
    return 0;
}

static int tear_down_server(void **state) {
    (void)state;
    if (is_there)
        zk_remove(&server);
    return 0;
}

#define NEEDS_SERVER()                                                                             \
    do {                                                                                           \
        if (!is_there) {                                                                           \
            print_message("ZooKeeper is not here\n");                                              \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#endif
