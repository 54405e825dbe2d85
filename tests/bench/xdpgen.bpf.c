// The two BPF programs of xdpgen: a frame with a random source port out of a device, and a counting sink.

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define HEADER_WORDS 21  // Ethernet, IPv4 and UDP: 42 bytes
#define SOURCE_PORT_WORD 17
#define FIRST_SOURCE_PORT 10000
#define SINK_PORT 9

struct settings {
  __u32 device;
  __u32 flow_mask;
  __u16 header[24];
};
const volatile struct settings settings = {};
__u64 received = 0;

SEC("xdp") int generate(struct xdp_md* context) {
  __u16* words = (void*)(long)context->data;
  const void* end = (void*)(long)context->data_end;
  if ((void*)(words + HEADER_WORDS) > end) return XDP_ABORTED;
  // Pages come back as the router left them: the whole header is written again.
#pragma unroll
  for (int i = 0; i < HEADER_WORDS; i++) words[i] = settings.header[i];
  words[SOURCE_PORT_WORD] =
      bpf_htons(FIRST_SOURCE_PORT + (bpf_get_prandom_u32() & settings.flow_mask));
  return bpf_redirect(settings.device, 0);
}

SEC("tc") int sink(struct __sk_buff* context) {
  const __u8* bytes = (void*)(long)context->data;
  const void* end = (void*)(long)context->data_end;
  if ((void*)(bytes + 2 * HEADER_WORDS) > end) return TC_ACT_OK;
  const int ipv4_udp = *(__u16*)(bytes + 12) == bpf_htons(0x0800) && bytes[23] == 17;
  if (!ipv4_udp || *(__u16*)(bytes + 36) != bpf_htons(SINK_PORT)) return TC_ACT_OK;
  received++;
  return TC_ACT_SHOT;
}

char license_of_programs[] SEC("license") = "GPL";
