/* See zk_lib.h. The library stays loaded; its table is filled once. */
#include "io/zk_lib.h"

#include <dlfcn.h>

#include "base/log.h"
#include "base/str.h"

#define LIBRARY "libzookeeper_st.so.2"

static struct rv_zoo zoo;

static int resolve(void *library, const char *name, void *slot, struct rv_error *err) {
    void *symbol = dlsym(library, name);

    if (!symbol)
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "%s has no %s", LIBRARY, name);
    memcpy(slot, &symbol, sizeof symbol);
    return 0;
}

int rv_zoo_load(const struct rv_zoo **out, struct rv_error *err) {
    static bool loaded;
    int r = 0;

    if (!loaded) {
        void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            return rv_error_set(err, RV_ERR_UNSUPPORTED,
                                "ZooKeeper's client library is not there (Debian's package "
                                "libzookeeper-st2): %s",
                                dlerror());
#define X(name)                                                                                    \
    if (!r)                                                                                        \
        r = resolve(library, #name, &zoo.name, err);
        RV_ZOO_FUNCTIONS(X)
#undef X
        if (r)
            return r;
        zoo.zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
        loaded = true;
    }
    *out = &zoo;
    return 0;
}

void rv_zoo_log(const char *message) {
    const char *level = strstr(message, "ZOO_"); /* after its own time and thread */
    const char *text = level ? strstr(level, ": ") : NULL;

    RV_DEBUG("zookeeper", "%s", text ? text + 2 : message);
}
