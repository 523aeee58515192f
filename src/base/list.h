/* Intrusive doubly linked list; a node that is in no list has next == NULL. */
#ifndef RV_BASE_LIST_H
#define RV_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"

struct rv_list {
    struct rv_list *next, *prev;
};

static inline void rv_list_init(struct rv_list *head) {
    head->next = head->prev = head;
}
static inline bool rv_list_empty(const struct rv_list *head) {
    return head->next == head;
}
static inline bool rv_list_linked(const struct rv_list *node) {
    return node->next != NULL;
}
static inline void rv_list_append(struct rv_list *head, struct rv_list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}
static inline void rv_list_remove(struct rv_list *node) {
    if (!node->next)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

/* Safe against removal of the current node. */
#define RV_LIST_EACH(head, node, tmp)                                                              \
    for (struct rv_list *node = (head)->next, *tmp = node->next; node != (head);                   \
         node = tmp, tmp = node->next)
#define RV_LIST_ENTRY(node, type, member) RV_CONTAINER_OF(node, type, member)

#endif
