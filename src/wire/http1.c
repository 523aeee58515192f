/*
 * A client's parser of HTTP/1.1 responses (RFC 9112), as a state machine over bytes that may be cut
 * anywhere. Head, chunk lines and trailers are gathered line by line in one buffer of at most
 * HEAD_MAX; body bytes go to the handler from where they are.
 *
 * Strict where leniency would let two parsers disagree: no folded lines, no blank before a colon,
 * no differing lengths. A bare newline ends a line, as everywhere.
 */
#include "wire/http1.h"

#include <stdlib.h>
#include <strings.h>

#include "base/vec.h"

#define HEAD_MAX ((size_t)64 << 10)
#define HEADERS_MAX 1000

enum state {
    STATE_HEAD,
    STATE_LENGTH, /* `left` bytes of the body to come */
    STATE_UNTIL_EOF,
    STATE_CHUNK_SIZE,
    STATE_CHUNK_DATA, /* `left` bytes of the chunk to come */
    STATE_CHUNK_END,
    STATE_TRAILER,
    STATE_OVER, /* the connection carries no more */
    STATE_FAILED,
};

struct rv_http1_parser {
    struct rv_http1_handler handler;
    void *ctx;
    enum state state;
    struct rv_buf head;  /* all lines of the head; NULs end names and values once it is parsed */
    struct rv_buf line;  /* the chunk line or trailer being gathered */
    size_t line_start;   /* of the head's last line */
    size_t trailer_size; /* bytes of trailers so far */
    RV_VEC(struct rv_http1_header) headers; /* into head */
    int status;
    uint64_t left;
    bool keep_alive;
};

struct rv_http1_parser *rv_http1_parser_new(const struct rv_http1_handler *handler, void *ctx) {
    struct rv_http1_parser *p = (struct rv_http1_parser *)rv_calloc(1, sizeof *p);
    p->handler = *handler;
    p->ctx = ctx;
    return p;
}

struct rv_http1_parser *rv_http1_parser_free(struct rv_http1_parser *p) {
    if (p) {
        rv_buf_free(&p->head);
        rv_buf_free(&p->line);
        rv_vec_free(&p->headers);
        free(p);
    }
    return NULL;
}

static int fail(struct rv_http1_parser *p, enum rv_err code, struct rv_error *err,
                const char *what) {
    p->state = STATE_FAILED;
    return rv_error_set(err, code, "HTTP response: %s", what);
}

const char *rv_http1_header(const struct rv_http1_header *headers, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(headers[i].name, name) == 0) {
            return headers[i].value;
        }
    }
    return NULL;
}

/* Moves one line, or the start of one, from bytes to b. Returns whether the line is complete. */
static bool gather_line(struct rv_buf *b, struct rv_str *bytes) {
    const char *newline = (const char *)memchr(bytes->s, '\n', bytes->n);
    size_t n = newline ? (size_t)(newline - bytes->s) + 1 : bytes->n;
    rv_buf_append(b, bytes->s, n);
    bytes->s += n;
    bytes->n -= n;
    return newline != NULL;
}

static bool is_token(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Whether a comma-separated list holds the word; *last: whether the word is its last element. */
static bool list_holds(const char *list, const char *word, bool *last) {
    bool found = false;
    size_t length = strlen(word);
    while (*list) {
        size_t n = strcspn(list, ",");
        const char *s = list, *end = list + n;
        while (s < end && (*s == ' ' || *s == '\t')) {
            s++;
        }
        while (end > s && (end[-1] == ' ' || end[-1] == '\t')) {
            end--;
        }
        bool is = (size_t)(end - s) == length && strncasecmp(s, word, length) == 0;
        found = found || is;
        *last = is;
        list += n + (list[n] == ',');
    }
    return found;
}

static int parse_status(struct rv_http1_parser *p, const char *line, struct rv_error *err) {
    if (!rv_starts_with(line, "HTTP/1.") || line[7] < '0' || line[7] > '9' || line[8] != ' ') {
        return fail(p, RV_ERR_INVALID, err, "bad status line");
    }
    p->status = 0;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return fail(p, RV_ERR_INVALID, err, "bad status");
        }
        p->status = p->status * 10 + (line[i] - '0');
    }
    if (p->status < 100 || (line[12] != '\0' && line[12] != ' ')) {
        return fail(p, RV_ERR_INVALID, err, "bad status");
    }
    p->keep_alive = line[7] != '0';
    return 0;
}

static int parse_header(struct rv_http1_parser *p, char *line, char *end, struct rv_error *err) {
    char *colon = line;
    while (is_token(*colon)) {
        colon++;
    }
    if (colon == line || *colon != ':') {
        return fail(p, RV_ERR_INVALID, err, "bad header");
    }
    if (p->headers.n == HEADERS_MAX) {
        return fail(p, RV_ERR_LIMIT, err, "too many headers");
    }
    *colon = '\0';
    char *value = colon + 1;
    while (*value == ' ' || *value == '\t') {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        *--end = '\0';
    }
    rv_vec_push(&p->headers, ((struct rv_http1_header){line, value}));
    return 0;
}

/* Splits the head into lines and these into names and values, in place. */
static int parse_head(struct rv_http1_parser *p, struct rv_error *err) {
    p->headers.n = 0;
    if (memchr(p->head.data, '\0', p->head.n)) {
        return fail(p, RV_ERR_INVALID, err, "NUL in the head");
    }
    char *line = p->head.data, *newline;
    for (bool first = true; (newline = strchr(line, '\n')); first = false) {
        char *end = newline;
        if (end > line && end[-1] == '\r') {
            end--;
        }
        *end = '\0';
        int r = 0;
        if (first) {
            r = parse_status(p, line, err);
        } else if (end > line) {
            r = parse_header(p, line, end, err);
        }
        if (r < 0) {
            return r;
        }
        line = newline + 1;
    }
    return 0;
}

/* 0 without a length, 1 with one, which is put in left, or an error. */
static int body_length(struct rv_http1_parser *p, struct rv_error *err) {
    bool found = false;
    for (size_t i = 0; i < p->headers.n; i++) {
        uint64_t n;
        if (strcasecmp(p->headers.v[i].name, "Content-Length") != 0) {
            continue;
        }
        if (rv_parse_u64(p->headers.v[i].value, UINT64_MAX, &n) < 0 || (found && n != p->left)) {
            return fail(p, RV_ERR_INVALID, err, "bad Content-Length");
        }
        p->left = n;
        found = true;
    }
    return found;
}

static void response_done(struct rv_http1_parser *p) {
    p->state = p->keep_alive ? STATE_HEAD : STATE_OVER;
    p->line_start = 0;
    p->handler.on_done(p->ctx, p->keep_alive);
    rv_buf_clear(&p->head);
}

/* The head is whole: what kind of body follows, by RFC 9112, 6.3. */
static int head_done(struct rv_http1_parser *p, struct rv_error *err) {
    int r = parse_head(p, err);
    if (r < 0) {
        return r;
    }
    p->line_start = 0;
    if (p->status == 101) {
        return fail(p, RV_ERR_INVALID, err, "switches protocols unasked");
    }
    if (p->status < 200) {
        rv_buf_clear(&p->head);
        return 0;
    }
    bool coded = false, chunked = false, unused;
    for (size_t i = 0; i < p->headers.n; i++) {
        const struct rv_http1_header *h = &p->headers.v[i];
        if (strcasecmp(h->name, "Transfer-Encoding") == 0) {
            coded = true;
            (void)list_holds(h->value, "chunked", &chunked);
        } else if (strcasecmp(h->name, "Connection") == 0) {
            p->keep_alive = (p->keep_alive || list_holds(h->value, "keep-alive", &unused)) &&
                            !list_holds(h->value, "close", &unused);
        }
    }
    int has_length = body_length(p, err);
    if (has_length < 0) {
        return has_length;
    }
    if (coded && has_length) {
        p->keep_alive = false; /* a sender this confused may not agree where the body ends */
    }
    if (p->status == 204 || p->status == 304) {
        p->state = STATE_LENGTH;
        p->left = 0;
    } else if (coded) {
        p->state = chunked ? STATE_CHUNK_SIZE : STATE_UNTIL_EOF;
    } else {
        p->state = has_length ? STATE_LENGTH : STATE_UNTIL_EOF;
    }
    if (p->state == STATE_UNTIL_EOF) {
        p->keep_alive = false;
    }
    p->handler.on_head(p->ctx, p->status, p->headers.v, p->headers.n);
    if (p->state == STATE_LENGTH && p->left == 0) {
        response_done(p);
    }
    return 0;
}

static int feed_head(struct rv_http1_parser *p, struct rv_str *bytes, struct rv_error *err) {
    bool whole = gather_line(&p->head, bytes);
    if (p->head.n > HEAD_MAX) {
        return fail(p, RV_ERR_LIMIT, err, "head over 64 KiB");
    }
    if (!whole) {
        return 0;
    }
    size_t n = p->head.n - p->line_start;
    bool empty = n == 1 || (n == 2 && p->head.data[p->line_start] == '\r');
    if (!empty) {
        p->line_start = p->head.n;
        return 0;
    }
    if (p->line_start == 0) {
        rv_buf_clear(&p->head); /* blank lines before a response are to be skipped */
        return 0;
    }
    return head_done(p, err);
}

/* A line of the chunked coding, without its end, in p->line. */
static int chunk_line(struct rv_http1_parser *p, struct rv_error *err) {
    const char *s = p->line.data;
    if (p->state == STATE_TRAILER) {
        if (p->line.n == 0) {
            response_done(p);
        }
        return 0;
    }
    if (p->state == STATE_CHUNK_END) {
        p->state = STATE_CHUNK_SIZE;
        return p->line.n == 0 ? 0 : fail(p, RV_ERR_INVALID, err, "chunk longer than its size");
    }
    uint64_t size = 0;
    size_t i = 0;
    for (;; i++) {
        unsigned c = (unsigned char)s[i], lower = c | 0x20;
        unsigned digit = c - '0' < 10 ? c - '0' : lower - 'a' < 6 ? lower - 'a' + 10 : 16;
        if (digit == 16) {
            break;
        }
        if (size >> 59) {
            return fail(p, RV_ERR_INVALID, err, "bad chunk size");
        }
        size = size << 4 | digit;
    }
    if (i == 0 || !(s[i] == ';' || s[i] == ' ' || s[i] == '\t' || i == p->line.n)) {
        return fail(p, RV_ERR_INVALID, err, "bad chunk size");
    }
    p->left = size;
    p->trailer_size = 0;
    p->state = size > 0 ? STATE_CHUNK_DATA : STATE_TRAILER;
    return 0;
}

static int feed_line(struct rv_http1_parser *p, struct rv_str *bytes, struct rv_error *err) {
    size_t before = bytes->n;
    bool whole = gather_line(&p->line, bytes);
    p->trailer_size += before - bytes->n;
    if (p->line.n > HEAD_MAX || (p->state == STATE_TRAILER && p->trailer_size > HEAD_MAX)) {
        return fail(p, RV_ERR_LIMIT, err, "chunk line or trailers over 64 KiB");
    }
    if (!whole) {
        return 0;
    }
    do {
        p->line.data[--p->line.n] = '\0';
    } while (p->line.n > 0 && p->line.data[p->line.n - 1] == '\r');
    int r = chunk_line(p, err);
    rv_buf_clear(&p->line);
    return r;
}

static void feed_body(struct rv_http1_parser *p, struct rv_str *bytes) {
    size_t n = bytes->n;
    if (p->state != STATE_UNTIL_EOF && p->left < n) {
        n = (size_t)p->left;
    }
    p->left -= p->state == STATE_UNTIL_EOF ? 0 : n;
    p->handler.on_body(p->ctx, rv_strn(bytes->s, n));
    bytes->s += n;
    bytes->n -= n;
    if (p->left == 0 && p->state == STATE_LENGTH) {
        response_done(p);
    } else if (p->left == 0 && p->state == STATE_CHUNK_DATA) {
        p->state = STATE_CHUNK_END;
    }
}

int rv_http1_parser_feed(struct rv_http1_parser *p, struct rv_str bytes, struct rv_error *err) {
    int r = 0;
    while (bytes.n > 0 && r == 0) {
        switch (p->state) {
        case STATE_HEAD:
            r = feed_head(p, &bytes, err);
            break;
        case STATE_CHUNK_SIZE:
        case STATE_CHUNK_END:
        case STATE_TRAILER:
            r = feed_line(p, &bytes, err);
            break;
        case STATE_LENGTH:
        case STATE_UNTIL_EOF:
        case STATE_CHUNK_DATA:
            feed_body(p, &bytes);
            break;
        case STATE_OVER:
            return 0; /* nothing more was promised; nothing more is read */
        case STATE_FAILED:
            return fail(p, RV_ERR_INVALID, err, "failed before");
        }
    }
    return r;
}

int rv_http1_parser_eof(struct rv_http1_parser *p, struct rv_error *err) {
    if (p->state == STATE_OVER || (p->state == STATE_HEAD && p->head.n == 0)) {
        return 0;
    }
    if (p->state == STATE_UNTIL_EOF) {
        response_done(p);
        return 0;
    }
    return rv_error_set(err, RV_ERR_CLOSED, "connection closed in the middle of a response");
}

void rv_http1_request(struct rv_buf *out, const char *method, const char *path, const char *host,
                      const char *extra_headers, struct rv_str body) {
    rv_buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host);
    if (body.s || rv_streq(method, "POST") || rv_streq(method, "PUT")) {
        rv_buf_printf(out, "Content-Length: %zu\r\n", body.n);
    }
    rv_buf_puts(out, extra_headers ? extra_headers : "");
    rv_buf_puts(out, "\r\n");
    if (body.n > 0) {
        rv_buf_append(out, body.s, body.n);
    }
}
