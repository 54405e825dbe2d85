// Accepts every packet of a queue of the kernel's NFQUEUE: what diverted packets are measured beside.
// Linux, include/uapi/linux/netfilter/nfnetlink_queue.h; plain netlink, as libraries do it underneath.

// Before the kernel's own headers, which leave out what these have said.
#include <arpa/inet.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#include <cstring>

#include "tests/bench/tool.hpp"

namespace {
using namespace masqgate::bench;

constexpr unsigned kBatch = 32;           // packets that one verdict answers at most
constexpr std::size_t kMessage = 70000;   // the longest packet and its attributes
constexpr unsigned kQueueLength = 16384;  // packets; the kernel's own default is 1024

// One message to the kernel: header, then attributes.
class Message {
 public:
  Message(int type, int queue) {
    header_.nlmsg_type = static_cast<__u16>(NFNL_SUBSYS_QUEUE << 8 | type);
    header_.nlmsg_flags = NLM_F_REQUEST;
    add_raw(&header_, sizeof header_);
    const nfgenmsg family{AF_UNSPEC, NFNETLINK_V0, htons(static_cast<std::uint16_t>(queue))};
    add_raw(&family, sizeof family);
  }
  template <typename Value>
  Message& add(int type, const Value& value) {
    const nlattr attribute{sizeof(nlattr) + sizeof value, static_cast<__u16>(type)};
    add_raw(&attribute, sizeof attribute);
    add_raw(&value, sizeof value);
    used_ = NLMSG_ALIGN(used_);
    return *this;
  }
  void send(int socket) {
    header_.nlmsg_len = static_cast<__u32>(used_);
    std::memcpy(bytes_, &header_, sizeof header_);
    sure(static_cast<int>(::send(socket, bytes_, used_, 0)), "send");
  }

 private:
  void add_raw(const void* data, std::size_t size) {
    std::memcpy(bytes_ + used_, data, size);
    used_ += size;
  }
  nlmsghdr header_{};
  char bytes_[256] = {};
  std::size_t used_ = 0;
};

int open_queue(int number) {
  const int socket_ = sure(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), "socket");
  set_option(socket_, SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
  set_option(socket_, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
  const nfqnl_msg_config_cmd bind_it{NFQNL_CFG_CMD_BIND, 0, htons(AF_UNSPEC)};
  Message{NFQNL_MSG_CONFIG, number}.add(NFQA_CFG_CMD, bind_it).send(socket_);
  const nfqnl_msg_config_params whole{htonl(0xffff), NFQNL_COPY_PACKET};
  const std::uint32_t flags = htonl(NFQA_CFG_F_GSO);
  Message{NFQNL_MSG_CONFIG, number}
      .add(NFQA_CFG_PARAMS, whole)
      .add(NFQA_CFG_QUEUE_MAXLEN, std::uint32_t{htonl(kQueueLength)})
      .add(NFQA_CFG_FLAGS, flags)
      .add(NFQA_CFG_MASK, flags)
      .send(socket_);
  return socket_;
}

// The number of the packet that the message is about, in the network's byte order; 0: none.
std::uint32_t packet_id(const char* bytes, std::size_t size) {
  std::size_t at = NLMSG_HDRLEN + sizeof(nfgenmsg);
  while (at + sizeof(nlattr) <= size) {
    nlattr attribute;
    std::memcpy(&attribute, bytes + at, sizeof attribute);
    if ((attribute.nla_type & NLA_TYPE_MASK) == NFQA_PACKET_HDR) {
      nfqnl_msg_packet_hdr packet;
      std::memcpy(&packet, bytes + at + sizeof attribute, sizeof packet);
      return packet.packet_id;
    }
    at += NLMSG_ALIGN(attribute.nla_len);
  }
  return 0;
}

void accept(int socket_, int queue, int how, std::uint32_t id) {
  const nfqnl_msg_verdict_hdr verdict{htonl(NF_ACCEPT), id};
  Message{how, queue}.add(NFQA_VERDICT_HDR, verdict).send(socket_);
}

[[noreturn]] void one_by_one(int socket_, int queue) {
  std::vector<char> buffer(kMessage);
  for (;;) {
    const ssize_t size = recv(socket_, buffer.data(), buffer.size(), 0);
    if (size <= 0) continue;
    const std::uint32_t id = packet_id(buffer.data(), static_cast<std::size_t>(size));
    if (id != 0) accept(socket_, queue, NFQNL_MSG_VERDICT, id);
  }
}

[[noreturn]] void in_batches(int socket_, int queue) {
  std::vector<char> buffer(kBatch * kMessage);
  std::vector<iovec> places(kBatch);
  std::vector<mmsghdr> messages(kBatch);
  for (std::size_t i = 0; i < kBatch; ++i) {
    places[i] = {buffer.data() + i * kMessage, kMessage};
    messages[i].msg_hdr.msg_iov = &places[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (;;) {
    const int count = recvmmsg(socket_, messages.data(), kBatch, MSG_WAITFORONE, nullptr);
    if (count <= 0) continue;
    const auto last = static_cast<std::size_t>(count) - 1;
    const std::uint32_t id = packet_id(buffer.data() + last * kMessage, messages[last].msg_len);
    if (id != 0) accept(socket_, queue, NFQNL_MSG_VERDICT_BATCH, id);
  }
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments{count, words, 2, "nfqueue QUEUE packet|batch"};
  const int queue = arguments.count(0);
  const int socket_ = open_queue(queue);
  std::puts("ready");
  std::fflush(stdout);
  if (std::string{arguments.text(1)} == "batch") in_batches(socket_, queue);
  one_by_one(socket_, queue);
}
