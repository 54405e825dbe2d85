// The SYN proxy of a shard: which clients it answers in a server's place (K-20, RFC 4987 3.6).
//
//   client                      router                          server
//     │ SYN ────────────────────▶ │                                │   nothing is stored
//     │ ◀── SYN/ACK, cookie, 0 ── │                                │   window 0: no data yet
//     │ ACK ────────────────────▶ │ the same packet as a SYN ────▶ │   from here on a connection
//     │                           │ ◀───────────────────── SYN/ACK │
//     │ ◀─── ACK, window opens ── │ ACK ─────────────────────────▶ │
//
// From then on the server's numbers differ for the client by a constant, which stands in the
// connection's record where helpers keep theirs. Options but the MSS are not offered: a cookie has no
// room for them.

#pragma once

#include "daemon/path/policy.hpp"
#include "daemon/syn_proxy/cookies.hpp"
#include "daemon/syn_proxy/openings.hpp"

namespace masqgate::path {

class Shard;

class SynProxy {
 public:
  struct Counters {
    std::uint64_t answered = 0;  // SYNs
    std::uint64_t opened = 0;    // clients that have proved to be there
    std::uint64_t refused = 0;   // acknowledgements of what was never said
  };

  SynProxy(Shard& shard, HashKey key) : shard_{shard}, cookies_{key}, openings_{key} {}

  // A packet before it is tracked. Not accepted: it goes no further.
  Verdict arrive(Packet& packet);
  // Whether this connection's handshake is the proxy's; helpers keep away from it.
  bool leads(const conntrack::Connection& connection) const {
    return openings_.find(connection.original) != nullptr;
  }
  // An answer of the server, translated, on its way to the client: the handshake's other half.
  void answer(Packet& packet);

  void expire(Time now) { openings_.expire(now); }
  const Counters& counters() const { return counters_; }
  std::size_t openings() const { return openings_.size(); }

 private:
  Verdict answer_syn(const Packet& syn);
  Verdict open(Packet& ack);
  Verdict ask_server(Packet& packet, const syn_proxy::Opening& opening);

  Shard& shard_;
  syn_proxy::Cookies cookies_;
  syn_proxy::Openings openings_;
  Counters counters_;
};

}  // namespace masqgate::path
