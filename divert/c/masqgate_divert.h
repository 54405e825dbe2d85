/* Programs that masqgate diverts packets to, in C: open, receive, say verdicts by id, close.
 *
 *   struct dv_packet batch[64];
 *   struct dv_listener *l = dv_open(2222, NULL);
 *   if (l == NULL) errx(1, "%s", dv_why());
 *   for (int n; (n = dv_receive(l, batch, 64, 1)) > 0;)
 *     for (int i = 0; i < n; i++)
 *       dv_accept(l, batch[i].id);
 *
 * No callbacks and no threads of its own; a listener is not for several threads at once. What a call
 * points to is valid until the next dv_receive(). Verdicts leave with the next dv_receive() or
 * dv_flush(). A packet may be answered at any time before its deadline, in any order. Calls return
 * -1 with errno and dv_why() where something is wrong; load is never an error. */
#ifndef MASQGATE_DIVERT_H
#define MASQGATE_DIVERT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dv_listener;

struct dv_options {
  const char *socket;   /* NULL: /run/masqgate/divert.sock */
  const char *name;     /* as others shall see it */
  int16_t priority;     /* higher ones see a packet first; equals share the flows */
  uint16_t weight;      /* 0: 1 */
  uint32_t credit;      /* packets at once; 0: as many as masqgate allows */
  uint32_t snapshot;    /* bytes of each packet; 0: all */
  uint32_t permissions; /* DV_MAY_…, beside listening */
  uint16_t flags;       /* DV_TEE, DV_SEGMENTS … */
};
enum {
  DV_TEE = 1,
  DV_SEGMENTS = 4,
  DV_PARTIAL_SUMS = 8,
  DV_ORDERED = 16, /* packets of a flow leave in the order in which they came */
  DV_SHARED = 32,
  DV_ANY_MEMBER = 64,
  DV_ONE_BY_ONE = 128,
  DV_FLOWS = 256,  /* tells of flows that begin and end: dv_next_flow() */
  DV_REFLECT = 512 /* tells of other programs: dv_next_program() */
};
enum {
  DV_MAY_INJECT = 4,
  DV_MAY_INJECT_SPOOFED = 8,
  DV_MAY_SET_MARK = 16,
  DV_MAY_STEER = 32,
};

struct dv_packet {
  uint64_t id;
  uint64_t flow;       /* the same for both directions of a conversation */
  const uint8_t *data; /* the IP packet, from its header on */
  uint32_t length;     /* bytes at data */
  uint32_t whole;      /* bytes of the packet */
  uint32_t flags;      /* as in divert/format.hpp: 1 copy, 2 fragment, 4 put together, 256 redelivered … */
  uint32_t mark;
  uint32_t rule; /* stable number of the rule */
  uint32_t in_interface, out_interface; /* from one; 0: none */
  uint16_t rule_position, payload_offset, transport_offset;
  uint8_t protocol, hook; /* hook: 1 input, 2 forward, 3 output, 4 prerouting, 5 postrouting */
};

/* NULL, and dv_why() says why: nobody is there, or what was asked for may not be. */
struct dv_listener *dv_open(uint16_t port, const struct dv_options *options);
void dv_close(struct dv_listener *l);
/* For poll(2); after it, dv_receive() without waiting until it returns 0. */
int dv_fd(const struct dv_listener *l);
/* Up to most packets; 0: none are there now (wait = 0); -1 with ECONNRESET: masqgate has gone. */
int dv_receive(struct dv_listener *l, struct dv_packet *packets, size_t most, int wait);

int dv_accept(struct dv_listener *l, uint64_t id);
/* This packet and every one that was received before it. */
int dv_accept_upto(struct dv_listener *l, uint64_t id);
/* Lengths and checksums are put right. */
int dv_replace(struct dv_listener *l, uint64_t id, const void *packet, size_t length);
int dv_accept_marked(struct dv_listener *l, uint64_t id, uint32_t mark, uint32_t mask);
/* "No more of this flow to me", for so many packets; 0: for ever. */
int dv_accept_and_offload(struct dv_listener *l, uint64_t id, uint32_t packets);
int dv_drop(struct dv_listener *l, uint64_t id);
int dv_drop_and_block(struct dv_listener *l, uint64_t id, uint32_t packets);
/* how: 0 port, 1 host, 2 net, 3 prohibited unreachable, 4 TCP reset */
int dv_reject(struct dv_listener *l, uint64_t id, uint16_t how);
int dv_repeat(struct dv_listener *l, uint64_t id, uint32_t rule);
int dv_requeue(struct dv_listener *l, uint64_t id, uint16_t port);
int dv_hold(struct dv_listener *l, uint64_t id, uint16_t milliseconds);
int dv_flush(struct dv_listener *l);

/* A packet out of nothing: out = 1 as if the router sent it, 0 as if it came by that interface. */
int dv_inject(struct dv_listener *l, const void *packet, size_t length, int out, uint32_t interface,
              uint64_t cookie);
/* No new packets from now on. */
int dv_drain(struct dv_listener *l);
/* What went wrong with a packet, by id or cookie; 0: nothing more. */
struct dv_notice {
  uint64_t id;
  uint32_t code; /* as in divert/format.hpp: 1 expired, 2 unknown id, 3 bad packet, 4 not allowed … */
  uint64_t value;
};
int dv_next_notice(struct dv_listener *l, struct dv_notice *notice);

/* Between whom; an IPv4 address stands in the first four bytes. */
struct dv_tuple {
  uint8_t source[16], destination[16];
  uint16_t source_port, destination_port;
  uint8_t protocol, version; /* version: 4 or 6 */
};
/* A flow of which packets were given has begun or ended. */
struct dv_flow {
  uint64_t flow;
  int event;                       /* 1 begins, 2 ends */
  int end;                         /* 1 closed, 2 timed out, 3 removed, 4 not admitted, 5 forgotten */
  struct dv_tuple original, reply; /* reply: as answers come in; behind NAT it is final at the end */
  uint64_t packets[2], bytes[2];   /* original, reply; until now */
};
/* 1: there it is; 0: nothing more. They come with dv_receive(), whether it returns packets or not;
 * with wait = 1 it waits for packets. Who looks at nothing else waits at dv_fd(). */
int dv_next_flow(struct dv_listener *l, struct dv_flow *flow);

/* Another program, on a port that this one may listen to. */
struct dv_program {
  int event; /* 1 was there, 2 came, 3 left */
  int end;   /* 1 drained, 2 died, 3 sent away */
  uint32_t process, user, group;
  uint16_t port, weight, flags;
  int16_t priority;
  char name[33];
};
int dv_next_program(struct dv_listener *l, struct dv_program *program);
/* The last error of this thread, in words. */
const char *dv_why(void);

#ifdef __cplusplus
}
#endif
#endif
