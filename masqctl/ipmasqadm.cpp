#include "masqctl/ipmasqadm.hpp"

#include <array>
#include <cinttypes>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <utility>

#include "daemon/base/print.hpp"
#include "daemon/control/ipmasqadm.hpp"
#include "masqctl/http_client.hpp"
#include "masqctl/system_names.hpp"
#include "masqctl/tables.hpp"

namespace masqgate::ctl {
namespace {

using control::IpmasqadmCommand;
using control::IpmasqadmEnd;
using nat::ForwardModule;

constexpr int kFailed = 255;  // the historic tool returned what setsockopt() did: -1

// Services are TCP's, or else UDP's.
class ForwardNames final : public control::Names {
 public:
  std::optional<net::IpAddress> address(std::string_view name) const override {
    return SystemNames{}.address(name);
  }
  std::optional<net::Port> service(std::string_view name) const override {
    const auto found = SystemNames{}.service(name, net::Protocol::tcp);
    return found ? found : SystemNames{}.service(name, net::Protocol::udp);
  }
};

std::string host_name(std::uint32_t number, bool numeric) {
  const net::IpAddress address = net::IpAddress::v4(number);
  const std::string name = numeric ? std::string{} : SystemNames{}.host(address);
  return name.empty() ? address.text() : name;
}

std::string service_name(unsigned port, bool numeric) {
  const std::string name =
      numeric ? std::string{}
              : SystemNames{}.service(static_cast<net::Port>(port), net::Protocol::tcp);
  return name.empty() ? std::to_string(port) : name;
}

// The lines below the head.
std::vector<std::string> rows_of(const std::string& file) {
  std::vector<std::string> rows;
  std::istringstream lines{file};
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) rows.push_back(line);
  return rows;
}

std::string detail_of(const Reply& reply) {
  const Json document = Json::parse(reply.body, nullptr, false);
  const std::string detail = document.is_object() ? member(document, {"detail"}) : "-";
  return detail == "-" ? "the router answered with status " + std::to_string(reply.status)
                       : printable(detail);
}

int list(const std::string& socket, ForwardModule module, bool numeric, std::ostream& out,
         std::ostream& err) {
  const std::string file = "net/ip_masq/" + std::string{control::name(module)};
  const auto missing = [&](const std::string& why) {
    err << "Could not open \"/proc/" << file << "\"\n"
        << (module == ForwardModule::mfw ? "Check if you have enabled fwmark-forwarding\n"
                                         : "Check if you have enabled portforwarding\n")
        << why << '\n';
    return 1;
  };
  try {
    const Reply reply = send(socket, {.target = "/v1/" + file, .accept = "text/plain"});
    if (reply.status != 200) return missing(detail_of(reply));
    out << (module == ForwardModule::mfw ? mfw_listing(reply.body, numeric)
                                         : portfw_listing(reply.body, numeric));
    return 0;
  } catch (const Failure& failure) {
    return missing(failure.what());
  }
}

int change(const std::string& socket, const nat::ForwardOrder& order, std::ostream& err) {
  const std::string module{control::name(order.module())};
  try {
    const Reply reply = send(socket, {.method = "PUT",
                                      .target = "/v1/net/ip_masq/" + module,
                                      .body = Json(control::ipmasqadm_words(order)).dump()});
    if (reply.status >= 200 && reply.status <= 299) return 0;
    err << detail_of(reply) << '\n';
    return kFailed;
  } catch (const Failure& failure) {
    err << module << ": socket creation failed: " << failure.what() << '\n';
    return 1;
  }
}

}  // namespace

std::string portfw_listing(const std::string& file, bool numeric) {
  constexpr const char* kFormat = "%-4s %-20s %-20s %8s %8s %5s %5s\n";
  std::string text =
      print<2200>(kFormat, "prot", "localaddr", "rediraddr", "lport", "rport", "pcnt", "pref");
  for (const std::string& row : rows_of(file)) {
    std::array<char, 10> protocol{}, count{}, preference{};
    std::uint32_t local = 0, remote = 0;
    unsigned local_port = 0, remote_port = 0;
    if (std::sscanf(row.c_str(), "%9s %8" SCNx32 " %5u > %8" SCNx32 " %5u %9s %9s", protocol.data(),
                    &local, &local_port, &remote, &remote_port, count.data(),
                    preference.data()) != 7)
      continue;
    text +=
        print<2200>(kFormat, protocol.data(), host_name(local, numeric).c_str(),
                    host_name(remote, numeric).c_str(), service_name(local_port, numeric).c_str(),
                    service_name(remote_port, numeric).c_str(), count.data(), preference.data());
  }
  return text;
}

std::string mfw_listing(const std::string& file, bool numeric) {
  constexpr const char* kFormat = "%-8s %-20s %8s %5s %5s\n";
  std::string text = print<2200>(kFormat, "fwmark", "rediraddr", "rport", "pcnt", "pref");
  for (const std::string& row : rows_of(file)) {
    std::array<char, 10> count{}, preference{};
    std::uint32_t mark = 0, remote = 0;
    unsigned port = 0;
    if (std::sscanf(row.c_str(), "0x%8" SCNx32 " > %8" SCNx32 " %5u %9s %9s", &mark, &remote, &port,
                    count.data(), preference.data()) != 5)
      continue;
    text += print<2200>(kFormat, std::to_string(mark).c_str(), host_name(remote, numeric).c_str(),
                        service_name(port, numeric).c_str(), count.data(), preference.data());
  }
  return text;
}

int ipmasqadm(const std::string& socket, const std::vector<std::string>& words, std::ostream& out,
              std::ostream& err) {
  if (words.empty()) {
    err << "usage: ipmasqadm MODULE [opts] \n";
    return 1;
  }
  const auto module = control::forward_module(words.front());
  if (!module) {
    err << "ipmasqadm: there is no module " << printable(words.front())
        << "; there are portfw, autofw and mfw\n";
    return 1;
  }
  const auto result =
      control::parse_ipmasqadm(*module, std::span{words}.subspan(1), ForwardNames{});
  if (const auto* end = std::get_if<IpmasqadmEnd>(&result)) {
    out << end->output;
    err << printable(end->error);
    return end->status;
  }
  const auto& command = std::get<IpmasqadmCommand>(result);
  if (!command.order) return list(socket, *module, command.numeric, out, err);
  out << command.complaints;
  if (command.verbose) out << control::ipmasqadm_description(*command.order);
  return change(socket, *command.order, err);
}

}  // namespace masqgate::ctl
