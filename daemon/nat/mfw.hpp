// MFW: hosts inside for packets that the firewall has marked, as Linux 2.2 kept them (history 4.3).
//
// Each mark has a row of hosts; the first serves until its counter has run down from its preference,
// then it goes to the row's end. A preference of 0 stays first until schedule() is asked for.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "daemon/nat/forward_problem.hpp"
#include "daemon/nat/portfw.hpp"

namespace masqgate::nat {

struct MarkForward {
  std::uint32_t mark = 0;
  net::Endpoint remote = kAnyEndpoint;  // port 0: the packet's own
  int preference = kDefaultPreference;
  int count = kDefaultPreference;
  bool operator==(const MarkForward&) const = default;
};

class MarkForwards {
 public:
  static constexpr std::size_t kMost = 1024;  // hosts of all marks

  ForwardProblem add(const MarkForward& host);     // as the last of its mark
  ForwardProblem insert(const MarkForward& host);  // as the first
  // These take an address or port of zero for all hosts of the mark.
  ForwardProblem edit(const MarkForward& host);
  ForwardProblem remove(const MarkForward& host);
  // Sends the first host of the mark to the end.
  ForwardProblem schedule(std::uint32_t mark);
  void flush();

  // Where a new connection of a marked packet goes; counts it. bare_ack: TCP, an ACK without SYN,
  // which begins nothing.
  std::optional<net::Endpoint> use(std::uint32_t mark, net::Endpoint destination,
                                   bool bare_ack) noexcept;

  std::size_t size() const { return size_; }
  std::vector<MarkForward> list() const;  // marks in the order of the kernel's 16 buckets

 private:
  struct Row {
    std::uint32_t mark;
    std::vector<MarkForward> hosts;  // never empty
  };
  using Bucket = std::vector<Row>;  // newest first

  Bucket& bucket_of(std::uint32_t mark) { return buckets_[mark % buckets_.size()]; }
  Row* find(std::uint32_t mark);
  ForwardProblem put(const MarkForward& host, bool first);
  static net::Endpoint take_turn(Row& row, bool forced) noexcept;

  std::array<Bucket, 16> buckets_;
  std::size_t size_ = 0;
};

}  // namespace masqgate::nat
