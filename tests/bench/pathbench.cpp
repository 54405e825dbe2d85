// What a packet costs in the corridor, without devices and programs: bursts of small packets through a
// shard in memory, undiverted or held by the desk for a listener that accepts each burst at once.
//
// Usage: pathbench plain|diverted [FLOWS] [answered]   prints ns=; answered: established connections

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "daemon/firewall/firewall_json.hpp"
#include "tests/support/test_router.hpp"

namespace {
using namespace masqgate;
using namespace masqgate::test;
namespace format = divert::format;

constexpr std::uint16_t kPort = 2222;
constexpr std::size_t kBurst = 64;

// Frames of one flow after the other, for ever; what is written goes nowhere.
class Generator final : public port::Interface {
 public:
  explicit Generator(std::vector<Octets> frames) : frames_{std::move(frames)} {}
  port::ReadResult read(Frame& frame) noexcept override {
    const Octets& from = frames_[next_++ % frames_.size()];
    frame.set_ip_size(from.size() - link_size());
    frame.offload = {};
    std::ranges::copy(from, frame.device_room(link_size()).begin() + wire::VnetHeader::kSize);
    return port::ReadResult::frame;
  }
  bool write(Frame&) noexcept override {
    ++written;
    return true;
  }
  int descriptor() const noexcept override { return -1; }
  std::size_t link_size() const noexcept override { return 14; }

  std::uint64_t written = 0;

 private:
  std::vector<Octets> frames_;
  std::size_t next_ = 0;
};

// Keeps the last packet's id.
class Accepting final : public divert::Channel {
 public:
  Sent send(format::Bytes frame) noexcept override {
    format::Reader reader{frame};
    while (const auto record = reader.next())
      if (const auto packet = record->as<format::PacketHeader>(format::Type::packet))
        last = packet->id;
    return Sent::sent;
  }
  void close() noexcept override {}
  std::uint64_t last = 0;
};

// The whole frame that a program sends with one record.
template <typename Record>
Octets frame_of(Record record, format::Kind kind) {
  record.prefix.length = sizeof record;
  format::FrameHeader header;
  header.kind = static_cast<std::uint8_t>(kind);
  header.records = 1;
  header.length = sizeof header + sizeof record;
  Octets frame(header.length);
  std::memcpy(frame.data(), &header, sizeof header);
  std::memcpy(frame.data() + sizeof header, &record, sizeof record);
  return frame;
}

PacketBuilder question(std::uint32_t flow) {
  return udp()
      .from("192.168.1.10", static_cast<net::Port>(1024 + flow))
      .to("198.51.100.1", 53)
      .payload_size(18);
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    std::fputs("usage: pathbench plain|diverted [FLOWS] [answered]\n", stderr);
    return 2;
  }
  const bool diverted = words[1] == std::string_view{"diverted"};
  const auto flows =
      static_cast<std::uint32_t>(count > 2 ? std::strtoul(words[2], nullptr, 10) : 1024);
  const bool answered = count > 3 && words[3] == std::string_view{"answered"};
  TestRouter router{{.region = {}, .max_connections = 65536, .divert = {}}};
  std::vector<Octets> frames;
  for (std::uint32_t flow = 0; flow < flows; ++flow) {
    if (answered) {
      router.arrive(kLan, question(flow));
      router.arrive(kWan, answer_to(router.one(kWan), udp()));
    }
    frames.push_back(question(flow).frame_bytes(kLanMac, kHostMac));
  }
  Accepting program;
  divert::Desk& desk = router.shard.diverting().desk();
  divert::Member member = divert::kNoMember;
  if (diverted) {
    const auto rules =
        json::Json::parse(R"({"forward": {"rules": [{"action": {"divert": 2222}}]}})");
    router.policy.ruleset = std::make_shared<firewall::Ruleset>(firewall::from_json(
        json::Value{rules, "/firewall"}, std::vector<std::string>{"lan", "wan"}));
    router.apply();
    format::BindHeader bind;
    bind.port = kPort;
    bind.permissions = divert::Access::kEverything;
    member = desk.attach(program, {});
    desk.receive(member, frame_of(bind, format::Kind::control), router.now());
  }
  Generator lan{std::move(frames)}, wan{{}};
  router.shard.attach(kWan, Side::network, &wan);
  router.shard.set_trace(nullptr);

  const Time start = BootClock::now();
  const std::uint64_t rounds = 1 << 15;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    router.shard.drain(kLan, Side::network, lan, kBurst, router.now());
    if (!diverted) continue;
    desk.flush(router.now());
    format::VerdictHeader verdict;
    verdict.id = program.last;
    verdict.action = static_cast<std::uint8_t>(format::Action::accept_upto);
    desk.receive(member, frame_of(verdict, format::Kind::verdicts), router.now());
  }
  const double packets = static_cast<double>(rounds * kBurst);
  std::printf("ns=%.1f written=%.3f\n",
              static_cast<double>((BootClock::now() - start).count()) / packets,
              static_cast<double>(wan.written) / packets);
  return 0;
}
