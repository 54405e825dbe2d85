/* Who speaks with whom, and how much: lets everything pass, and prints flows as they begin and end, and
 * other programs.
 * Usage: flows PORT */
#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "masqgate_divert.h"

static const char *address(const struct dv_tuple *tuple, const uint8_t *bytes, char *room) {
  return inet_ntop(tuple->version == 4 ? AF_INET : AF_INET6, bytes, room, INET6_ADDRSTRLEN);
}

static void print_flow(const struct dv_flow *flow) {
  char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
  const struct dv_tuple *tuple = &flow->original;
  printf("%s > %s: %" PRIu64 " and %" PRIu64 " packets%s\n", address(tuple, tuple->source, from),
         address(tuple, tuple->destination, to), flow->packets[0], flow->packets[1], flow->event == 1 ? " so far" : "");
}

int main(int count, char **words) {
  const struct dv_options options = {.name = "flows", .flags = DV_SEGMENTS | DV_FLOWS | DV_REFLECT};
  struct dv_packet batch[64];
  struct dv_flow flow;
  struct dv_program program;
  struct dv_listener *l = dv_open(count > 1 ? (uint16_t)atoi(words[1]) : 2222, &options);
  if (l == NULL) {
    fprintf(stderr, "%s\n", dv_why());
    return 1;
  }
  puts("ready");
  for (;;) {
    struct pollfd wait = {.fd = dv_fd(l), .events = POLLIN};
    int n;
    fflush(stdout);
    poll(&wait, 1, -1);
    while ((n = dv_receive(l, batch, 64, 0)) > 0) dv_accept_upto(l, batch[n - 1].id);
    if (n < 0) break;
    while (dv_next_flow(l, &flow)) print_flow(&flow);
    while (dv_next_program(l, &program))
      printf("%s on port %u %s\n", program.name, program.port, program.event == 3 ? "has left" : "listens");
  }
  dv_close(l);
  return 0;
}
