#include "netlink/dump.hpp"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "netlink/attributes.hpp"

namespace masqgate::netlink {
namespace {

// With NETLINK_GET_STRICT_CHK each list wants its own header, all zero but for the family.
template <typename Header>
Message request(std::uint16_t type, std::uint8_t family, std::uint32_t sequence) {
  std::array<std::uint8_t, 256> bytes{};
  nlmsghdr* message = mnl_nlmsg_put_header(bytes.data());
  message->nlmsg_type = type;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message->nlmsg_seq = sequence;
  // Every one of these headers begins with its family.
  *static_cast<std::uint8_t*>(mnl_nlmsg_put_extra_header(message, sizeof(Header))) = family;
  return {bytes.begin(), bytes.begin() + message->nlmsg_len};
}

Message request(List list, std::uint32_t sequence) {
  switch (list) {
    case List::links:
      return request<ifinfomsg>(RTM_GETLINK, AF_UNSPEC, sequence);
    case List::addresses:
      return request<ifaddrmsg>(RTM_GETADDR, AF_UNSPEC, sequence);
    case List::routes_v4:
      return request<rtmsg>(RTM_GETROUTE, AF_INET, sequence);
    case List::routes_v6:
      return request<rtmsg>(RTM_GETROUTE, AF_INET6, sequence);
    case List::rules_v4:
      return request<fib_rule_hdr>(RTM_GETRULE, AF_INET, sequence);
    case List::rules_v6:
      return request<fib_rule_hdr>(RTM_GETRULE, AF_INET6, sequence);
    case List::neighbours:
      break;
  }
  return request<ndmsg>(RTM_GETNEIGH, AF_UNSPEC, sequence);
}

// NLMSG_DONE carries an int of its own, NLMSG_ERROR begins with one.
int error_in(Bytes message) {
  return -read<int>(after(message, sizeof(nlmsghdr))).value_or(0);
}

// Kernels without a family say so in one of these ways.
bool means_none(int error) {
  return error == 0 || error == EAFNOSUPPORT || error == EOPNOTSUPP || error == EPROTONOSUPPORT;
}

}  // namespace

void Dump::start(std::span<const List> lists) {
  lists_ = lists;
  messages_.clear();
  list_start_ = 0;
  tries_ = 0;
  if (!lists_.empty()) ask();
}

void Dump::ask() {
  messages_.resize(list_start_);
  changed_ = false;
  ++tries_;
  socket_.send(request(lists_.front(), ++sequence_));
}

bool Dump::next_list() {
  lists_ = lists_.subspan(1);
  list_start_ = messages_.size();
  tries_ = 0;
  if (lists_.empty()) return true;
  ask();
  return false;
}

Dump::Answer Dump::take(Bytes datagram) {
  for (Bytes message = next_message(datagram); !message.empty(); message = next_message(datagram)) {
    const auto header = *read<nlmsghdr>(message);
    if (header.nlmsg_seq != sequence_) continue;  // of a question that was given up
    changed_ = changed_ || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
      const int error = error_in(message);
      if (!means_none(error))
        throw std::system_error(error, std::generic_category(), "the kernel refuses to list");
      return changed_ ? Answer::interrupted : Answer::complete;
    }
    messages_.emplace_back(message.begin(), message.end());
  }
  return Answer::more;
}

bool Dump::advance() {
  while (!lists_.empty()) {
    const Socket::Received received = socket_.receive();
    if (received.error == EAGAIN) return false;
    if (received.error == EINTR) continue;
    if (received.error != 0)
      throw std::system_error(received.error, std::generic_category(), "cannot read netlink");
    const Answer answer = take(received.messages);
    if (answer == Answer::more) continue;
    if (answer == Answer::interrupted) ++interrupted_;
    if (answer == Answer::interrupted && tries_ < kDumpTries) {
      ask();
    } else if (next_list()) {
      break;
    }
  }
  return true;
}

std::vector<Message> fetch_messages(std::span<const List> lists) {
  Dump dump{Socket::Wait::yes};
  dump.start(lists);
  dump.advance();
  return dump.messages();
}

}  // namespace masqgate::netlink
