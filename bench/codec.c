/*
 * What the codec costs: an OFFERS event of about 1 MB of JSON, as a master of many agents sends it,
 * is encoded and decoded in both encodings. Each figure is the best of several rounds: what the
 * machine does besides can only add.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "reeve/v1/scheduler.pb-c.h"
#include "wire/codec.h"

#define ROUNDS 15
#define PASSES 4

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void put_offer(struct rv_buf *b, unsigned i) {
    rv_buf_printf(b,
                  "%s{\"id\":{\"value\":\"0c6f1f5e-33a0-4d3e-9d29-7f4f2b1c%04x-O%u\"},"
                  "\"framework_id\":{\"value\":\"0c6f1f5e-33a0-4d3e-9d29-7f4f2b1c0000-0000\"},"
                  "\"agent_id\":{\"value\":\"0c6f1f5e-33a0-4d3e-9d29-7f4f2b1c0000-S%u\"},"
                  "\"hostname\":\"node-%u.rack-%u.example.net\",\"url\":{\"scheme\":\"http\","
                  "\"address\":{\"hostname\":\"node-%u.rack-%u.example.net\","
                  "\"ip\":\"10.1.%u.%u\",\"port\":5051},\"path\":\"/slave(1)\"},\"resources\":[",
                  i ? "," : "", i, i, i, i, i % 40, i, i % 40, i / 256, i % 256);
    static const char *const scalars[] = {"cpus", "mem", "disk", "gpus"};
    for (unsigned k = 0; k < RV_COUNT(scalars); k++) {
        rv_buf_printf(b,
                      "{\"name\":\"%s\",\"type\":\"SCALAR\",\"scalar\":{\"value\":%u.%u},"
                      "\"role\":\"*\",\"allocation_info\":{\"role\":\"analytics/batch\"}},",
                      scalars[k], (i * 37 + k * 1024) % 20000, i % 1000);
    }
    rv_buf_printf(b,
                  "{\"name\":\"ports\",\"type\":\"RANGES\",\"ranges\":{\"range\":["
                  "{\"begin\":1025,\"end\":2180},{\"begin\":2182,\"end\":3887},"
                  "{\"begin\":31000,\"end\":32000}]},\"role\":\"*\","
                  "\"allocation_info\":{\"role\":\"analytics/batch\"}}],\"attributes\":["
                  "{\"name\":\"rack\",\"type\":\"TEXT\",\"text\":{\"value\":\"rack-%u\"}},"
                  "{\"name\":\"generation\",\"type\":\"SCALAR\",\"scalar\":{\"value\":4}}],"
                  "\"allocation_info\":{\"role\":\"analytics/batch\"}}",
                  i % 40);
}

static ProtobufCMessage *decode(enum rv_encoding e, struct rv_str bytes, struct rv_arena *arena) {
    struct rv_error err;
    ProtobufCMessage *m;
    if (rv_wire_decode(&reeve__v1__scheduler__event__descriptor, e, bytes, NULL, arena, &m, &err) <
        0) {
        fprintf(stderr, "codec: %s\n", err.message);
        exit(1);
    }
    return m;
}

static void figure(const char *name, int64_t ns, size_t bytes) {
    printf("figure codec.%s %.0f MB_per_s\n", name, (double)bytes * 1000 / (double)ns);
    printf("figure codec.%s_us %.0f us\n", name, (double)ns / 1000);
}

static void measure_out(const char *name, const ProtobufCMessage *m, enum rv_encoding e) {
    struct rv_buf b _cleanup_(rv_buf_free) = {0};
    int64_t best = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now_ns();
        for (int pass = 0; pass < PASSES; pass++) {
            rv_buf_clear(&b);
            rv_wire_encode(m, e, &b);
        }
        best = RV_MIN(best, (now_ns() - start) / PASSES);
    }
    figure(name, best, b.n);
}

static void measure_in(const char *name, struct rv_str bytes, enum rv_encoding e) {
    struct rv_arena arena _cleanup_(rv_arena_free);
    rv_arena_init(&arena);
    int64_t best = INT64_MAX;
    size_t total = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now_ns();
        for (int pass = 0; pass < PASSES; pass++) {
            rv_arena_reset(&arena);
            decode(e, bytes, &arena);
            total = arena.total;
        }
        best = RV_MIN(best, (now_ns() - start) / PASSES);
    }
    figure(name, best, bytes.n);
    printf("figure codec.%s_memory %.2f bytes_per_byte\n", name, (double)total / (double)bytes.n);
}

int main(void) {
    struct rv_arena arena _cleanup_(rv_arena_free);
    struct rv_buf text _cleanup_(rv_buf_free) = {0};
    struct rv_buf packed _cleanup_(rv_buf_free) = {0};
    rv_arena_init(&arena);
    rv_buf_puts(&text, "{\"type\":\"OFFERS\",\"offers\":{\"offers\":[");
    for (unsigned i = 0; text.n < (size_t)1 << 20; i++) {
        put_offer(&text, i);
    }
    rv_buf_puts(&text, "]}}");
    ProtobufCMessage *m = decode(RV_ENC_JSON, rv_buf_str(&text), &arena);
    rv_wire_encode(m, RV_ENC_PROTOBUF, &packed);
    measure_out("json_out", m, RV_ENC_JSON);
    measure_in("json_in", rv_buf_str(&text), RV_ENC_JSON);
    measure_out("protobuf_out", m, RV_ENC_PROTOBUF);
    measure_in("protobuf_in", rv_buf_str(&packed), RV_ENC_PROTOBUF);
    return 0;
}
