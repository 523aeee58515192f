/* Values as people write them, for resources and attributes alike: 4.5, [1-2,5-9], {a,b}. */
#ifndef RV_MODEL_VALUE_TEXT_H
#define RV_MODEL_VALUE_TEXT_H

#include "model/resources.h"

enum rv_number { RV_NUMBER_NOT, RV_NUMBER_TOO_LARGE, RV_NUMBER_OK };

/* Without the blanks around it. */
struct rv_str rv_text_trim(struct rv_str s);
/* The part before the next `separator` (or all), trimmed; *rest moves behind it and ends with s
 * NULL after the last part. Never call with rest->s NULL. */
struct rv_str rv_text_next(struct rv_str *rest, char separator);

/* A decimal number, with sign, fraction and exponent if wanted, rounded to thousandths. */
enum rv_number rv_text_scalar(struct rv_str s, int64_t *out);
/* NULL, or a sentence what is wrong; then nothing is to be freed. s includes the brackets. */
const char *rv_text_ranges(struct rv_str s, struct rv_ranges *out);
const char *rv_text_set(struct rv_str s, struct rv_set *out);

/* For messages: enough of a token to know it by. */
#define RV_TEXT_SHOWN 60
#define RV_TEXT_ARGS(str) (int)RV_MIN((str).n, (size_t)RV_TEXT_SHOWN), (str).s

#endif
