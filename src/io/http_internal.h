/*
 * What the parts of the HTTP server share: http_server.c (sockets, loop, deadlines), http_request.c
 * (a request from its first line to its answer) and http_stream.c (bodies that stay open, and the
 * watch for clients that go away). Nobody outside includes it but the fuzz target.
 *
 * Ownership: the server owns its connections; a connection owns the request that it carries, that
 * one its stream. All are freed when libmicrohttpd reports their end, never before: a handler's
 * handle may be gone for its user long before its memory is.
 */
#ifndef RV_IO_HTTP_INTERNAL_H
#define RV_IO_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "base/heap.h"
#include "base/list.h"
#include "io/http_server.h"

enum http_stage {
    HTTP_IDLE,      /* between requests, or before the first one's request line is complete */
    HTTP_RECEIVING, /* a request is coming in */
    HTTP_ANSWERING, /* the handler has it, or a stream is open: no deadline */
    HTTP_SENDING,   /* a large chunk or the rest goes out: as long as the client takes bytes */
};

struct http_conn {
    struct rv_list link;
    struct rv_http_server *server;
    struct MHD_Connection *mhd;
    struct rv_http_request *request; /* the one under way, or NULL */
    struct rv_timer timer;           /* of the server's deadlines; may be early, never late */
    int64_t since_ms;                /* when the stage began */
    int64_t checked_ms;              /* when its deadline was last looked at */
    uint64_t acked;                  /* bytes that the client had taken by then */
    int fd;
    enum http_stage stage;
    bool fresh;     /* no request yet */
    bool suspended; /* MHD does not look at it until it is resumed */
    bool watched;   /* its descriptor is in the watch */
    bool gone;      /* the client has closed */
    bool rejected;  /* counted already */
};

enum http_request_state {
    HTTP_REQ_LINE,     /* the request line came */
    HTTP_REQ_BODY,     /* the head came */
    HTTP_REQ_TAKING,   /* the head came, and the body is taken as it arrives */
    HTTP_REQ_CLOSING,  /* was answered while its body came: the rest of it is thrown away */
    HTTP_REQ_HANDLING, /* inside the handler */
    HTTP_REQ_PENDING,  /* the handler answers later; the connection is suspended */
    HTTP_REQ_ANSWERED, /* response is to be queued, or is queued */
    HTTP_REQ_DROPPED,  /* no answer: the connection is to be closed */
};

struct rv_http_request {
    struct http_conn *conn;
    struct MHD_Response *response; /* until queued */
    struct rv_http_stream *stream;
    char *path;
    char *target; /* as it came */
    char *method;
    struct rv_buf body;
    size_t received;    /* bytes of body, kept or not */
    const char *origin; /* the Origin header if it is allowed */
    void *data;
    void (*on_abandoned)(void *data, struct rv_http_request *req);
    enum http_request_state state;
    int status;
    bool held;      /* TAKING: suspended, its user has no room */
    bool too_large; /* the body is thrown away, the answer is 413 */
    bool bad_path;
    bool chunked; /* the client speaks HTTP/1.1 */
    bool head;
    bool abandoned;
    char peer[64];
};

/* One chunk under way: its size line, the shared bytes, the line end. */
enum { HTTP_CHUNK_HEAD = 47 };

struct http_chunk {
    struct http_chunk *next;
    struct rv_str bytes;
    size_t counted; /* in the backlog */
    size_t sent;    /* of head_n + bytes.n + 2 */
    /* Whose the bytes are: a blob's, or somebody's who is told when they are not needed any more.
     */
    struct rv_blob *blob;
    void (*done)(void *ctx);
    void *ctx;
    uint8_t head_n;
    char head[HTTP_CHUNK_HEAD];
};

enum http_stream_state {
    HTTP_STREAM_OPEN,
    HTTP_STREAM_CUT,    /* over its backlog; on_close is still to be called */
    HTTP_STREAM_ENDED,  /* by its user: what is queued still goes out */
    HTTP_STREAM_CLOSED, /* on_close was called */
};

struct rv_http_stream {
    struct rv_list flush; /* in server->to_flush when there is something to do */
    struct rv_http_request *request;
    struct http_chunk *first, *last;
    size_t backlog;
    void (*on_close)(void *ctx);
    void *ctx;
    enum http_stream_state state;
    bool writing; /* the head is out: the socket is ours until the end */
    bool blocked; /* the socket takes no more for now */
    bool held;    /* what is queued waits for rv_http_stream_release */
    bool finish;  /* tells the reader to end the body */
    bool failed;  /* tells the reader to close the connection */
};

struct rv_http_server {
    uv_loop_t *loop;
    struct MHD_Daemon *mhd;
    rv_http_handler handler;
    void *ctx;
    struct rv_http_body_stream taker; /* all NULL: none */
    void *taker_ctx;
    char *ip;
    size_t max_body, max_header, max_backlog;
    int64_t idle_ms, receive_ms;
    unsigned max_connections, n_connections;
    char **origins; /* NULL-terminated, or NULL */
    struct rv_list connections, to_flush;
    struct rv_timers deadlines;
    struct rv_timer accept_again;
    struct rv_http_counters counters;
    int listen_fd, watch_fd;
    uint16_t port;
    unsigned open_handles;
    unsigned depth; /* of calls into MHD or the user: what they do must not free us */
    bool dirty;     /* MHD has something to do */
    bool accepting;
    bool stopping;
    uv_poll_t mhd_poll, listen_poll, watch_poll;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t again;
};

/* http_server.c */
void http_conn_set_stage(struct http_conn *c, enum http_stage stage);
void http_conn_suspend(struct http_conn *c);
void http_conn_resume(struct http_conn *c); /* fine if not suspended */
/* Closes it soon, whatever it is doing. */
void http_conn_abort(struct http_conn *c);
void http_conn_rejected(struct http_conn *c);
/* Serves a socket that is connected already; owned from now on, closed on failure. */
RV_MUST_USE int http_server_adopt(struct rv_http_server *s, int fd, struct rv_error *err);

/* http_request.c */
void *http_request_line(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_request_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                    const char *method, const char *version, const char *upload,
                                    size_t *upload_size, void **request);
void http_request_completed(void *cls, struct MHD_Connection *mhd, void **request,
                            enum MHD_RequestTerminationCode code);
void http_request_client_gone(struct rv_http_request *req);
struct http_conn *http_conn_of(struct MHD_Connection *mhd);

/* http_stream.c */
void http_watch_add(struct http_conn *c);
void http_watch_remove(struct http_conn *c);
void http_watch_events(struct rv_http_server *s);
void http_streams_flush(struct rv_http_server *s);
void http_stream_close(struct rv_http_stream *stream); /* calls on_close if that is still due */
void http_stream_fail(struct rv_http_stream *stream);  /* the same, and ends the connection */
void http_stream_free(struct rv_http_stream *stream);

#endif
