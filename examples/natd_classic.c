/* A translator as they were written for divert sockets: nothing in it knows of masqgate.
 *
 * Usage: natd_classic OUTSIDE_ADDRESS IN_PORT OUT_PORT, with LD_PRELOAD=libmasqgate-divert-preload.so.
 * Rules in chain prerouting, no "nat" in the configuration:
 *   {"in": "wan", "action": {"divert": IN_PORT}}, {"in": "lan", "action": {"divert": OUT_PORT}}
 * UDP and TCP over IPv4; mappings are never forgotten. Checksums are left to the socket, as natd did
 * with those of IP; those of UDP and TCP are adjusted here (RFC 1624). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_DIVERT
#define IPPROTO_DIVERT 254
#endif
enum { MOST = 4096, FIRST_PORT = 50000 };

static struct mapping {
  uint8_t protocol, address[4], port[2];
} mappings[MOST];
static int used;
static uint8_t outside[4];

static int divert_socket(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    perror("divert socket");
    exit(1);
  }
  return fd;
}

static void adjust(uint8_t *sum, const uint8_t *old, const uint8_t *new, int size) {
  uint32_t all = (uint16_t)~(sum[0] << 8 | sum[1]);
  for (int i = 0; i < size; i += 2)
    all += (uint32_t)(uint16_t)~(old[i] << 8 | old[i + 1]) + (uint32_t)(new[i] << 8 | new[i + 1]);
  while (all >> 16) all = (all & 0xffff) + (all >> 16);
  sum[0] = (uint8_t)(~all >> 8);
  sum[1] = (uint8_t)~all;
}

/* Writes new bytes over old ones and keeps the transport's checksum right. */
static void put(uint8_t *packet, int at, const uint8_t *bytes, int size) {
  uint8_t *transport = packet + (packet[0] & 15) * 4;
  uint8_t *sum = transport + (packet[9] == IPPROTO_TCP ? 16 : 6);
  if (packet[9] == IPPROTO_TCP || sum[0] || sum[1]) adjust(sum, packet + at, bytes, size);
  memcpy(packet + at, bytes, (size_t)size);
}

static void translate_out(uint8_t *packet, int ports) {
  uint8_t port[2];
  int i = 0;
  while (i < used && (mappings[i].protocol != packet[9] || memcmp(mappings[i].address, packet + 12, 4) != 0 ||
                      memcmp(mappings[i].port, packet + ports, 2) != 0))
    i++;
  if (i == used) {
    if (used == MOST) return;
    mappings[used].protocol = packet[9];
    memcpy(mappings[used].address, packet + 12, 4);
    memcpy(mappings[used++].port, packet + ports, 2);
  }
  port[0] = (uint8_t)((FIRST_PORT + i) >> 8);
  port[1] = (uint8_t)(FIRST_PORT + i);
  put(packet, 12, outside, 4);
  put(packet, ports, port, 2);
}

static void translate_in(uint8_t *packet, int ports) {
  int i = (packet[ports + 2] << 8 | packet[ports + 3]) - FIRST_PORT;
  if (i < 0 || i >= used || mappings[i].protocol != packet[9] || memcmp(packet + 16, outside, 4) != 0) return;
  put(packet, 16, mappings[i].address, 4);
  put(packet, ports + 2, mappings[i].port, 2);
}

int main(int count, char **words) {
  if (count < 4 || inet_pton(AF_INET, words[1], outside) != 1) return 2;
  int in = divert_socket(atoi(words[2])), out = divert_socket(atoi(words[3]));
  puts("ready");
  fflush(stdout);
  for (;;) {
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(in, &readable);
    FD_SET(out, &readable);
    if (select((in > out ? in : out) + 1, &readable, NULL, NULL, NULL) < 0) return 1;
    for (int fd = FD_ISSET(in, &readable) ? in : out, turn = 0; turn < 2; fd = out, turn++) {
      static uint8_t packet[65535];
      struct sockaddr_in from;
      socklen_t length = sizeof from;
      if (!FD_ISSET(fd, &readable)) continue;
      FD_CLR(fd, &readable);
      ssize_t size = recvfrom(fd, packet, sizeof packet, 0, (struct sockaddr *)&from, &length);
      if (size < 20) return 1;
      int ports = (packet[0] & 15) * 4, own = memcmp(packet + 16, outside, 4) == 0;
      if (packet[0] >> 4 == 4 && (packet[9] == IPPROTO_TCP || packet[9] == IPPROTO_UDP)) {
        if (fd == in && own) translate_in(packet, ports);
        if (fd == out && !own) translate_out(packet, ports);
      }
      sendto(fd, packet, (size_t)size, 0, (struct sockaddr *)&from, length);
    }
  }
}
