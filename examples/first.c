/* The first program in C: prints what comes, and lets it pass. Usage: first PORT */
#include <stdio.h>
#include <stdlib.h>

#include "masqgate_divert.h"

int main(int count, char **words) {
  struct dv_packet batch[64];
  struct dv_listener *l = dv_open(count > 1 ? (uint16_t)atoi(words[1]) : 2222, NULL);
  if (l == NULL) {
    fprintf(stderr, "%s\n", dv_why());
    return 1;
  }
  puts("ready");
  for (int n; (n = dv_receive(l, batch, 64, 1)) > 0;)
    for (int i = 0; i < n; i++) {
      printf("%u bytes of protocol %u by rule %u\n", batch[i].whole, batch[i].protocol, batch[i].rule_position);
      fflush(stdout);
      dv_accept(l, batch[i].id);
    }
  dv_close(l);
  return 0;
}
