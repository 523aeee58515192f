/* What ZooKeeper's codes mean, in words. */
#include "quorum/session.h"

#include "base/memory.h"

static const struct {
    int code;
    const char *text;
} texts[] = {
    {RV_ZK_OK, "done"},
    {RV_ZK_LOST, "the connection is lost"},
    {-6, "the server cannot do this"},
    {-8, "bad arguments"},
    {RV_ZK_NO_NODE, "no such node"},
    {RV_ZK_NO_AUTH, "not allowed"},
    {RV_ZK_BAD_VERSION, "another version is there"},
    {-108, "an ephemeral node has nothing below it"},
    {RV_ZK_NODE_EXISTS, "the node is there already"},
    {RV_ZK_NOT_EMPTY, "there is something below the node"},
    {RV_ZK_GONE, "the session has expired"},
    {-114, "no such access list"},
    {RV_ZK_CLOSED, "the session is closed"},
    {-119, "the server only reads"},
    {-125, "over quota"},
    {-127, "the server has too much to do"},
};

const char *rv_zk_text(int code) {
    for (size_t i = 0; i < RV_COUNT(texts); i++)
        if (texts[i].code == code)
            return texts[i].text;
    return "refused";
}
