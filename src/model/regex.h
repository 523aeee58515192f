/*
 * Regular expressions for offer constraints: the common subset of RE2 syntax (literals, ., classes
 * with ranges, negation and \d \w \s, groups, alternation, * + ? {m,n}, anchors), compiled to an
 * NFA and run by simulation, so that a match takes time O(pattern * text) whatever is asked: a
 * framework's pattern must not stall the master (the peer chose RE2 for the same reason).
 */
#ifndef RV_MODEL_REGEX_H
#define RV_MODEL_REGEX_H

#include <stdbool.h>

#include "base/error.h"

struct rv_regex;
/* -RV_ERR_INVALID: not a pattern, says where; -RV_ERR_LIMIT: the program would have over 10,000
 * instructions. */
RV_MUST_USE int rv_regex_compile(const char *pattern, struct rv_regex **out, struct rv_error *err);
struct rv_regex *rv_regex_free(struct rv_regex *r);
bool rv_regex_matches_all(const struct rv_regex *r, const char *text); /* the whole text */

#endif
