/* A growing array of any type: struct { T *v; size_t n, cap; }. */
#ifndef RV_BASE_VEC_H
#define RV_BASE_VEC_H

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define RV_VEC(T)                                                                                  \
    struct {                                                                                       \
        T *v;                                                                                      \
        size_t n, cap;                                                                             \
    }
#define rv_vec_push(vec, item)                                                                     \
    do {                                                                                           \
        if ((vec)->n == (vec)->cap) {                                                              \
            (vec)->cap = (vec)->cap ? (vec)->cap * 2 : 8;                                          \
            (vec)->v = rv_realloc((vec)->v, (vec)->cap * sizeof *(vec)->v);                        \
        }                                                                                          \
        (vec)->v[(vec)->n++] = (item);                                                             \
    } while (0)
#define rv_vec_free(vec)                                                                           \
    do {                                                                                           \
        free((vec)->v);                                                                            \
        (vec)->v = NULL;                                                                           \
        (vec)->n = (vec)->cap = 0;                                                                 \
    } while (0)
/* Order is kept. */
#define rv_vec_remove_at(vec, i)                                                                   \
    do {                                                                                           \
        memmove(&(vec)->v[i], &(vec)->v[(i) + 1], ((vec)->n - (i)-1) * sizeof *(vec)->v);          \
        (vec)->n--;                                                                                \
    } while (0)

#endif
