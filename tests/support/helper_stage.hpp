// A stage for one helper in tests: hands it the messages of a conversation, as the router would,
// and writes down what it does. Announced endpoints appear as 203.0.113.7 (2001:db8:2::7) and their
// port plus 10000, unless they keep it.

#pragma once

#include <string>
#include <vector>

#include "daemon/helper/helper.hpp"

namespace masqgate::test {

class HelperStage final : helper::Effects {
 public:
  // spi: of the packets, for helpers of ESP.
  explicit HelperStage(const helper::Helper& helper, bool is_v6 = false, std::uint32_t spi = 0)
      : helper_{helper} {
    const auto parse = [](const char* text) { return *net::IpAddress::parse(text); };
    const net::IpAddress client = parse(is_v6 ? "fd00:1::10" : "192.168.1.10");
    const net::IpAddress server = parse(is_v6 ? "2001:db8::1" : "198.51.100.1");
    shown_ = parse(is_v6 ? "2001:db8:2::7" : "203.0.113.7");
    const net::Port port = helper.ports.empty() ? net::Port{1} : helper.ports.front();
    sent_ = {client, server, 40000, port, helper.protocol, 0};
    received_ = {shown_, server, 40000, port, helper.protocol, 0};
    if (spi == 0) return;
    sent_ = {client, server, 0, 0, net::Protocol::esp, 0};
    sent_.set_spi(spi);
    received_ = sent_;
    received_.source_address = shown_;
  }

  // Text as it goes on; several messages in one are cut by the helper. Nothing is held back here:
  // what is left of an unfinished message passes.
  std::string say(bool from_client, std::string_view text) {
    std::string result;
    while (!text.empty()) {
      helper::Measure measure{helper::Measure::Kind::whole, text.size()};
      const auto bytes = std::as_bytes(std::span{text});
      if (helper_.measure != nullptr) measure = helper_.measure(bytes, from_client, memory_);
      if (stopped || measure.kind != helper::Measure::Kind::whole || measure.size == 0 ||
          measure.size > text.size())
        return result + std::string{text};
      result += one(from_client, bytes.first(measure.size));
      text.remove_prefix(measure.size);
    }
    return result;
  }

  std::vector<helper::Announcement> announcements;
  std::vector<helper::Refusal> refusals;
  bool stopped = false;
  int held = 0;           // messages that must not go on
  bool answered = false;  // what was announced is there
  bool full = false;      // nothing more can be announced

 private:
  std::string one(bool from_client, wire::Bytes message) {
    const Tuple back = received_.inverted(), back_received = sent_.inverted();
    helper::Context context{message,
                            from_client,
                            from_client ? sent_ : back,
                            from_client ? received_ : back_received,
                            memory_,
                            *this,
                            room_};
    helper_.parse(context);
    const wire::Bytes out = context.changed().value_or(message);
    std::string text;
    for (const std::byte b : out) text += static_cast<char>(b);
    return text;
  }
  std::optional<net::Endpoint> announce(const helper::Announcement& what) noexcept override {
    if (full) return std::nullopt;
    announcements.push_back(what);
    if (what.is_listed) return what.own;
    const unsigned port = what.own.port + (what.keeps_port ? 0u : 10000u);
    return net::Endpoint{shown_, static_cast<net::Port>(port)};
  }
  std::optional<net::Endpoint> announced(net::Port port, bool is_own) noexcept override {
    for (const helper::Announcement& what : announcements) {
      const auto shown = static_cast<net::Port>(what.own.port + (what.own.port == 0 ? 0 : 10000));
      if (is_own && what.own.port == port) return net::Endpoint{shown_, shown};
      if (!is_own && shown == port) return what.own;
    }
    return std::nullopt;
  }
  bool has_child() noexcept override { return answered; }
  void refuse(helper::Refusal why) noexcept override { refusals.push_back(why); }
  void hold() noexcept override { ++held; }
  void stop() noexcept override { stopped = true; }

  const helper::Helper& helper_;
  net::IpAddress shown_;
  Tuple sent_, received_;
  helper::Memory memory_{};
  std::array<std::byte, helper::Context::kMostText> room_{};
};

}  // namespace masqgate::test
