// How a held packet goes on, once that is known.

#pragma once

#include <cstdint>

#include "daemon/packet/verdict.hpp"

namespace masqgate::divert {

// How a packet leaves the desk.
struct Release {
  enum class Kind : std::uint8_t { accept, drop, reject, repeat_at };
  Kind kind = Kind::accept;
  DropReason reason{};     // of drop and reject
  std::uint16_t how = 0;   // of a reject: as firewall::RejectWith counts
  std::uint32_t rule = 0;  // of repeat_at; 0: the top
  bool remember = false;   // its flow needs the desk no more: it may take the short cut
};

// What a listener's answer makes of a packet; an ordered one may have to wait before that happens.
struct Onward {
  enum class To : std::uint8_t {
    rules,     // leaves the desk
    listener,  // of the next lower priority; leaves where there is none
    port,      // another one
  };
  To to = To::rules;
  std::uint16_t port = 0;
  Release release;
  // Whether those behind it in its flow must not go before it.
  bool goes_on() const {
    return release.kind == Release::Kind::accept || release.kind == Release::Kind::repeat_at;
  }
};

}  // namespace masqgate::divert
