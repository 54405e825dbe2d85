// Sends 60-byte UDP frames of many flows at millions per second (XDP live frames), and counts what
// arrives.
//
// The device that receives the generated frames needs NAPI: ethtool -K PEER gro on. The flows
// differ in the source port. The programs are in xdpgen.bpf.c.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>

#include <array>
#include <cstring>
#include <span>
#include <thread>

#include "tests/bench/tool.hpp"

namespace {
using namespace masqgate::bench;

constexpr std::size_t kHeader = 42, kPayload = 18;
constexpr std::uint16_t kSinkPort = 9;
using Frame = std::array<std::uint8_t, kHeader + kPayload>;

// As in xdpgen.bpf.c.
struct Settings {
  std::uint32_t device;
  std::uint32_t flow_mask;
  std::array<std::uint8_t, 48> header;
};

void store16(std::span<std::uint8_t> bytes, std::size_t at, unsigned value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

// Ethernet, IPv4 (RFC 791) and UDP (RFC 768, no checksum).
Frame frame(const char* mac, const char* source, const char* destination) {
  Frame bytes{};
  std::array<unsigned, 6> m{};
  if (std::sscanf(mac, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6)
    fail("not a MAC address");
  for (std::size_t i = 0; i < m.size(); ++i) bytes[i] = static_cast<std::uint8_t>(m[i]);
  bytes[6] = 0x02;
  bytes[11] = 0x77;
  store16(bytes, 12, 0x0800);
  const auto ip = std::span{bytes}.subspan(14, 20);
  ip[0] = 0x45;
  store16(ip, 2, 20 + 8 + kPayload);
  ip[8] = 64;
  ip[9] = IPPROTO_UDP;
  inet_pton(AF_INET, source, &ip[12]);
  inet_pton(AF_INET, destination, &ip[16]);
  unsigned sum = 0;
  for (std::size_t i = 0; i < ip.size(); i += 2)
    sum += static_cast<unsigned>(ip[i] << 8 | ip[i + 1]);
  sum = (sum & 0xffff) + (sum >> 16);
  store16(ip, 10, ~(sum + (sum >> 16)) & 0xffff);
  const auto udp = std::span{bytes}.subspan(34);
  store16(udp, 2, kSinkPort);
  store16(udp, 4, 8 + kPayload);
  return bytes;
}

int program(const bpf_object* object, const char* name) {
  return sure(bpf_program__fd(bpf_object__find_program_by_name(object, name)), name);
}

void send(bpf_object* object, const Arguments& arguments) {
  Frame bytes = frame(arguments.text(2), arguments.text(3), arguments.text(4));
  const double seconds = arguments.number(6);
  Settings settings{
      if_nametoindex(arguments.text(1)), static_cast<std::uint32_t>(arguments.count(5)) - 1, {}};
  std::memcpy(settings.header.data(), bytes.data(), kHeader);
  bpf_map* const constants = bpf_object__find_map_by_name(object, ".rodata");
  sure(bpf_map__set_initial_value(constants, &settings, sizeof settings), "settings");
  sure(bpf_object__load(object), "loading the BPF programs");

  bpf_test_run_opts run{};
  run.sz = sizeof run;
  run.data_in = bytes.data();
  run.data_size_in = static_cast<std::uint32_t>(bytes.size());
  run.repeat = 100'000;
  run.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  run.batch_size = 64;
  std::uint64_t sent = 0;
  const double start = now();
  double elapsed = 0;
  while ((elapsed = now() - start) < seconds) {
    sure(bpf_prog_test_run_opts(program(object, "generate"), &run), "generating");
    sent += static_cast<unsigned>(run.repeat);
  }
  std::printf("sent=%llu rate=%.0f\n", static_cast<unsigned long long>(sent),
              static_cast<double>(sent) / elapsed);
}

std::uint64_t received(const bpf_object* object) {
  const bpf_map* const variables = bpf_object__find_map_by_name(object, ".bss");
  std::vector<std::uint64_t> values(bpf_map__value_size(variables) / 8 + 1);
  const std::uint32_t first = 0;
  sure(bpf_map_lookup_elem(bpf_map__fd(variables), &first, values.data()), "reading the counter");
  return values[0];
}

void count(bpf_object* object, const Arguments& arguments) {
  sure(bpf_object__load(object), "loading the BPF programs");
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = static_cast<int>(if_nametoindex(arguments.text(1)));
  hook.attach_point = BPF_TC_INGRESS;
  bpf_tc_hook_create(&hook);
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.prog_fd = program(object, "sink");
  sure(bpf_tc_attach(&hook, &options), "attaching");
  std::printf("ready\n");
  std::fflush(stdout);

  const double give_up = now() + 10;
  while (received(object) == 0 && now() < give_up)
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  std::this_thread::sleep_for(std::chrono::milliseconds{100});  // the flows are known by then
  const std::uint64_t before = received(object);
  const double start = now();
  std::this_thread::sleep_for(std::chrono::duration<double>{arguments.number(2)});
  const auto arrived = received(object) - before;
  std::printf("received=%llu rate=%.0f\n", static_cast<unsigned long long>(arrived),
              static_cast<double>(arrived) / (now() - start));

  options.flags = options.prog_id = 0;
  options.prog_fd = 0;
  bpf_tc_detach(&hook, &options);
  hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  bpf_tc_hook_destroy(&hook);
}

}  // namespace

int main(int argument_count, char** words) {
  const Arguments arguments{argument_count, words, 3,
                            "xdpgen send DEVICE MAC SOURCE DESTINATION FLOWS(2^n) SECONDS | "
                            "xdpgen sink DEVICE SECONDS"};
  bpf_object* const object = bpf_object__open((std::string{words[0]} + ".bpf.o").c_str());
  if (object == nullptr) fail("xdpgen.bpf.o");
  if (std::string{arguments.text(0)} == "send") {
    send(object, arguments);
  } else {
    count(object, arguments);
  }
  bpf_object__close(object);
}
