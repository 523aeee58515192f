/* What ids and roles may look like. Pure; answers are constant sentences, nothing is allocated. */
#include "model/ids.h"

static bool is_control(char c) {
    return (unsigned char)c < 0x20 || c == 0x7f;
}

const char *rv_id_problem(const char *id) {
    if (!id || !*id) {
        return "an id must not be empty";
    }
    if (rv_streq(id, ".") || rv_streq(id, "..")) {
        return "an id must not be '.' or '..'";
    }
    size_t n = 0;
    for (; id[n]; n++) {
        if (n == 255) {
            return "an id must be at most 255 bytes long";
        }
        if (id[n] == '/') {
            return "an id must not contain '/'";
        }
        if (id[n] == ' ' || is_control(id[n])) {
            return "an id must not contain blanks or control characters";
        }
    }
    return NULL;
}

static const char *role_component_problem(const char *s, size_t n) {
    if (n == 0) {
        return "a role must not begin or end with '/' or contain '//'";
    }
    if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.')) {
        return "a role must not be or contain '.' or '..' as a component";
    }
    if (s[0] == '-') {
        return "no component of a role may begin with '-'";
    }
    if (n == 1 && s[0] == '*') {
        return "'*' is a role of its own, not a component of one";
    }
    for (size_t i = 0; i < n; i++) {
        if (s[i] == ' ' || is_control(s[i])) {
            return "a role must not contain blanks, backspaces or control characters";
        }
    }
    return NULL;
}

const char *rv_role_problem(const char *role) {
    if (!role || !*role) {
        return "a role must not be empty";
    }
    if (rv_streq(role, "*")) {
        return NULL;
    }
    if (strlen(role) > RV_ROLE_MAX) {
        return "a role is at most 1024 bytes";
    }
    const char *component = role;
    for (const char *p = role;; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }
        const char *problem = role_component_problem(component, (size_t)(p - component));
        if (problem || !*p) {
            return problem;
        }
        component = p + 1;
    }
}

bool rv_role_within(const char *role, const char *ancestor) {
    size_t n = strlen(ancestor);
    return strncmp(role, ancestor, n) == 0 && (role[n] == '\0' || role[n] == '/');
}
