/* Divert sockets as Linux 2.2 and FreeBSD had them (Divert Sockets mini-HOWTO; divert(4)), on masqgate.
 *
 * The calls of a program that was written for socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT) or
 * socket(PF_DIVERT, SOCK_RAW, 0), with another prefix. A program that shall not be built anew is run
 * with LD_PRELOAD=libmasqgate-divert-preload.so, which sends the plain names here.
 *
 *   recvfrom  the packet; sin_port: the rule's position; sin_addr: the address of the interface it
 *             came in by, or INADDR_ANY on its way out; sin_zero: known to this library only
 *   sendto    with that address: the packet goes on behind its rule, with mark, route and connection;
 *             changed or not. INADDR_ANY or no address: a new packet goes out. An interface's address:
 *             a new packet comes in by it. Packets that are not sent back are dropped.
 *
 * A program that gives packets back with the address of another one is understood: what they are
 * about is known by their bytes. The descriptor works with select, poll and O_NONBLOCK. The
 * environment's MASQGATE_DIVERT_SOCKET says where masqgate is, if not at /run/masqgate/divert.sock.
 * Not for a descriptor that several threads read. */
#ifndef MASQGATE_DIVERT_CLASSIC_H
#define MASQGATE_DIVERT_CLASSIC_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifndef IPPROTO_DIVERT
#define IPPROTO_DIVERT 254 /* as on FreeBSD and in the patches for Linux 2.2 */
#endif
#ifndef PF_DIVERT
#define PF_DIVERT 44 /* as on FreeBSD */
#endif

#ifdef __cplusplus
extern "C" {
#endif

int dv_socket(int domain, int type, int protocol); /* EAFNOSUPPORT: that is no divert socket */
int dv_bind(int fd, const struct sockaddr *address, socklen_t size); /* only sin_port counts */
ssize_t dv_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from,
                    socklen_t *from_size);
ssize_t dv_sendto(int fd, const void *packet, size_t size, int flags, const struct sockaddr *to,
                  socklen_t to_size);
int dv_close_socket(int fd);
int dv_is_divert_socket(int fd);

#ifdef __cplusplus
}
#endif
#endif
